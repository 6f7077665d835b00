//! Plugins made as their authors make them, with the compilers of seven languages; `tests/peers/setup.sh` installs them.

mod authors;
mod guide;
mod javascript_handler;
mod templates;
