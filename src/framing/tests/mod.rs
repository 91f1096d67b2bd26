mod cost;
mod receiving;
mod vectors;
