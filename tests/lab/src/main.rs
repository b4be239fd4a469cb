//! Large networks on demand: leaves on routers, and a report of what it costs them.
#![allow(clippy::print_stdout)] // a terminal program

mod args;
mod large;
mod report;

use args::Args;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

fn main() {
    let args = Args::parse();
    // Draws nothing when standard error is no terminal.
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} % {eta}") {
        bar.set_style(style);
    }
    bar.set_message(format!("{} leaves on {} routers", args.leaves, args.routers));
    let outcome = large::run(&args, |part| bar.set_position(part));
    bar.finish_and_clear();
    if args.json {
        println!("{:#}", report::json(&outcome));
    } else {
        print!("{}", report::table(&outcome));
    }
}
