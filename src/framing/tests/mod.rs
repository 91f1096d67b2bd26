mod cost;
mod pausing;
mod receiving;
#[cfg(feature = "testing")]
mod splitting;
mod vectors;
