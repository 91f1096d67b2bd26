//! A client of lines that keeps its requests in a `RequestQueue`, with a scripted server and on a
//! network with faults.

mod client;
mod faults;
mod scripted;
