mod cost;
mod pausing;
#[cfg(feature = "testing")]
mod rate;
mod receiving;
#[cfg(feature = "testing")]
mod splitting;
mod vectors;
