//! The keys of a review, read beside the loop that shows it, so that a screen that gets another size is seen at once.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use console::{Key, Term};

/// How often the size of the screen is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Reads keys one at a time.
pub(super) struct Keys {
    term: Term,
    wanted: Sender<()>,
    read: Receiver<io::Result<Key>>,
    /// Whether a key is being waited for.
    is_asked: bool,
    /// The size of the screen when it was last looked at.
    size: (u16, u16),
}

impl Keys {
    /// The keys of a terminal.
    pub(super) fn of(term: &Term) -> Self {
        let (wanted, asked) = channel();
        let (sender, read) = channel();
        let terminal = term.clone();
        thread::spawn(move || {
            // One key for each that is asked for: a pager that reads the terminal meanwhile gets its own.
            while asked.recv().is_ok() && sender.send(terminal.read_key()).is_ok() {}
        });
        Self { term: term.clone(), wanted, read, is_asked: false, size: term.size() }
    }

    /// The next key; nothing as soon as the screen has another size.
    pub(super) fn next(&mut self) -> io::Result<Option<Key>> {
        let is_gone = |_| io::Error::other("nobody reads it any more");
        if !self.is_asked {
            self.wanted.send(()).map_err(is_gone)?;
            self.is_asked = true;
        }
        loop {
            match self.read.recv_timeout(LOOK) {
                Ok(key) => {
                    self.is_asked = false;
                    return key.map(Some);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let size = self.term.size();
                    if std::mem::replace(&mut self.size, size) != size {
                        return Ok(None);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("nobody reads it any more")),
            }
        }
    }
}
