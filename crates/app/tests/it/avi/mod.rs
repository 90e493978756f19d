//! The whole program against the lab's Avi controller.

mod first_run;
mod stage;
