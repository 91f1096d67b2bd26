mod memory;
mod reproducible;
