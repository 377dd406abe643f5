//! What is looked at without holding the writer up: the configuration file,
//! and what metrics show.

use super::Daemon;
use crate::{
    api::model::Failure,
    clock::{Moment, Now},
    metrics::Sample,
};

impl Daemon {
    /// Compares the configuration file with what is served.
    pub async fn judge_file(&self) {
        let Some(to_judge) = self.serving.lock().await.file_to_judge() else {
            return;
        };
        let judged = tokio::task::block_in_place(|| to_judge.judge());
        self.serving.lock().await.file_judged = Some(judged);
    }

    pub async fn sample_now(&self) -> Result<Sample, Failure> {
        self.judge_file().await;
        let resolution = self.resolution.read().await;
        let serving = self.serving.lock().await;
        let sampled = tokio::task::block_in_place(|| serving.sample(&resolution, Now::read()));
        drop(serving);
        let mut sample = sampled?;
        self.health.read(|watch| sample.watch(watch, Moment::read()));
        sample.checks = self.health.checks();
        sample.guard = self.guard.status();
        Ok(sample)
    }
}
