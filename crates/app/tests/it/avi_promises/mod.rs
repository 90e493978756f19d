//! What is kept on an Avi controller that its vendor's control script for ACME does not keep.

mod old_script;
