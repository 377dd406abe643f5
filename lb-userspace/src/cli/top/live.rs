//! The terminal: raw, on its other screen, and given back whatever happens.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    Client, Error, Exit, ask, draw,
    model::{Key, Model},
};

/// Between two looks at the keyboard.
const KEYS: Duration = Duration::from_millis(50);

pub(super) async fn run(client: &Client, interval: Duration, color: bool) -> Result<Exit, Error> {
    let mut model = Model::default();
    let started = Instant::now();
    // Before the screen is taken: a daemon that is not there is an error.
    ask(client, &mut model, started.elapsed()).await?;
    let keys = keys();
    let mut screen = ratatui::try_init().map_err(Error::Output)?;
    let ended = watch(client, interval, color, &mut model, started, &keys, &mut screen).await;
    ratatui::restore();
    ended.map(|()| Exit::Done)
}

async fn watch(
    client: &Client,
    interval: Duration,
    color: bool,
    model: &mut Model,
    started: Instant,
    keys: &mpsc::Receiver<Option<Key>>,
    screen: &mut ratatui::DefaultTerminal,
) -> Result<(), Error> {
    let mut asked = Instant::now();
    loop {
        screen
            .draw(|frame| draw::draw(model, color, frame))
            .map_err(Error::Output)?;
        loop {
            match keys.try_recv() {
                Ok(Some(key)) if model.press(key) => return Ok(()),
                // A key, or another size: drawn anew.
                Ok(_) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                Err(mpsc::TryRecvError::Empty) => {}
            }
            if asked.elapsed() >= interval {
                ask(client, model, started.elapsed()).await?;
                asked = Instant::now();
                break;
            }
            tokio::time::sleep(KEYS.min(interval)).await;
        }
    }
}

/// Keys as they are pressed; `None` is another size. Ends with the process.
fn keys() -> mpsc::Receiver<Option<Key>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let said = match event {
                Event::Key(pressed) if pressed.kind != KeyEventKind::Release => key(pressed).map(Some),
                Event::Resize(..) => Some(None),
                Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => None,
            };
            if said.is_some_and(|said| sender.send(said).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return (pressed.code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    if let KeyCode::Char(letter) = pressed.code {
        return Some(Key::Letter(letter));
    }
    [
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Backspace, Key::Back),
        (KeyCode::Esc, Key::Escape),
    ]
    .into_iter()
    .find_map(|(code, key)| (code == pressed.code).then_some(key))
}
