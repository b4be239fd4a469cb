//! `init`: make a profile.

use threephone::Phone;
use threephone::address::Target;

use super::Context;
use crate::door::{home, key_source};
use crate::error::CliError;
use crate::view::InitView;

pub(super) async fn run(context: &Context, name: String) -> Result<(), CliError> {
    let home = home(&context.global)?;
    let report = Phone::init(home.clone(), name, key_source(&context.global)?).await?;
    let view = InitView {
        address: report.address.to_string(),
        public_key: report.public_key.to_string(),
        myc: Target::Key(report.public_key).to_string(),
        home: home.path().display().to_string(),
    };
    context.format.print_done(&view, |view| view.address.clone())
}
