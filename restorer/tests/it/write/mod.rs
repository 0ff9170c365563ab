//! Each kind is written back as it was.

mod collections;
mod companies;
mod definitions;
mod goods;
mod linked;
mod markets;
mod menus;
mod pages;
mod parts;
mod prices;
mod refused;
mod selling;
mod shop;
mod stock;
mod themes;
