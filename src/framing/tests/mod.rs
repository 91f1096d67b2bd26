mod cost;
mod pausing;
mod receiving;
mod vectors;
