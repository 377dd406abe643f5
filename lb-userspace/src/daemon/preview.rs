//! Previews, one at a time and with pauses: whoever may look may ask for one, and
//! nobody is to keep the writer busy by that.

use std::time::{Duration, Instant};

use tokio::{sync::Mutex, time::timeout};

use super::Daemon;
use crate::{
    api::model::{Failure, LONGEST_SAMPLE, PreviewRequest},
    clock::{self, Now},
    failure,
    kernel::sampler::Sampled,
    plan::Plan,
    preview::Preview,
};

/// For so many times as long as a preview kept the writer busy, further ones count
/// against [`BURST`]: on the whole they take a fifth of its time at most.
const PAUSE: u32 = 4;

/// Of such time, what may be used at once.
const BURST: Duration = Duration::from_secs(5);

/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// How long is sampled where nobody said.
const SAMPLED_BY_ITSELF: Duration = Duration::from_millis(500);

/// Whose turn it is, and until when what was used counts.
pub type Turns = Mutex<Option<Instant>>;

impl Daemon {
    pub async fn preview_plan(&self, request: PreviewRequest, may_sample: bool) -> Result<Preview, Failure> {
        let PreviewRequest { plan, sample } = request;
        if sample.is_some_and(|seconds| seconds > LONGEST_SAMPLE) {
            let message = format!("at most {LONGEST_SAMPLE} s are sampled at once");
            return Err(failure::bad_request(message));
        }
        let turn = async {
            let turn = self.previews.lock().await;
            if let Some(full) = turn.and_then(|until| until.checked_sub(BURST)) {
                tokio::time::sleep_until(full.into()).await;
            }
            turn
        };
        let mut turn = timeout(WAIT, turn).await.map_err(|_| failure::previews_wait())?;
        let resolution = self.resolve_for(&plan.target.config).await?;
        self.serving.lock().await.check_preview(&plan, Now::read())?;
        let within = self.sample_for(&plan, sample, may_sample).await;
        let (sampled, why_not) = match within {
            Ok(within) if within.is_zero() => (None, None),
            Ok(within) => match self.sample(within).await {
                Ok(sampled) => (Some((sampled, within)), None),
                Err(error) => (None, Some(error.message)),
            },
            Err(why_not) => (None, Some(why_not.to_owned())),
        };
        let mut serving = self.serving.lock().await;
        serving.see(Instant::now())?;
        let began = Instant::now();
        let now = Now::read();
        let sampled = sampled.as_ref().map(|(sampled, within)| (&**sampled, *within));
        let preview = tokio::task::block_in_place(|| serving.preview(&plan, sampled, &resolution, now));
        drop(serving);
        let now = Instant::now();
        *turn = Some(turn.unwrap_or(now).max(now) + began.elapsed() * PAUSE);
        Ok(Preview {
            not_sampled: why_not,
            ..preview?
        })
    }

    /// For how long is sampled; or why not, if it should be.
    async fn sample_for(&self, plan: &Plan, wished: Option<u32>, may_sample: bool) -> Result<Duration, &'static str> {
        if let Some(seconds) = wished {
            return Ok(Duration::from_secs(seconds.into()));
        }
        let is_risky = plan.needs > 0 || plan.trial.is_some();
        if !is_risky || plan.is_empty() {
            return Ok(Duration::ZERO);
        }
        if !may_sample {
            return Err("sampling live packets is of operators");
        }
        if self.serving.lock().await.pps() == 0 {
            return Err("there is no traffic");
        }
        Ok(SAMPLED_BY_ITSELF)
    }

    /// The writer is free meanwhile.
    async fn sample(&self, within: Duration) -> Result<Vec<Sampled>, Failure> {
        {
            let mut serving = self.serving.lock().await;
            let until = || clock::coarse_ns_after(within);
            tokio::task::block_in_place(|| serving.begin_sample(until, within))?;
        }
        tokio::time::sleep(within).await;
        let mut serving = self.serving.lock().await;
        Ok(tokio::task::block_in_place(|| serving.end_sample())?)
    }
}
