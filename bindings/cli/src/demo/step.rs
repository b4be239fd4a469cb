//! The steps of the demo, in order.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use threephone::address::{MailTarget, Target};
use threephone::mail::{Mail, MailDraft, MailQuery, MailView, Mailbox};
use threephone::messaging::{LineQuery, LineState, LineView};
use threephone::node::{Endpoint, Node, NodeConfig, SecretKey};
use threephone::{Cursor, Home, KeySource, Network, NodeOptions, Phone, PhoneOptions, Purpose};

use super::report::Report;
use crate::error::CliError;
use crate::method::now_ms;
use crate::print::size;

/// A real mail: text, HTML and a file.
const WELCOME: &[u8] = include_bytes!("../../../../fixtures/mail/welcome.eml");

pub(super) async fn all(folder: &Path, report: &mut Report) -> Result<(), CliError> {
    let router =
        report.step("a router starts on loopback, a node without services", router()).await?;
    let outcome = with_router(folder, report, &router).await;
    router.close().await;
    outcome
}

async fn router() -> Result<(Node, String), CliError> {
    let secret = SecretKey::generate().map_err(CliError::failed)?;
    let listen = vec![Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
    let node = Node::start(NodeConfig { listen, ..NodeConfig::new(secret) })
        .await
        .map_err(CliError::failed)?;
    let text = format!("router  {}  {}", node.address(), way_in(&node)?);
    Ok((node, text))
}

fn way_in(router: &Node) -> Result<Endpoint, CliError> {
    router
        .listening()
        .first()
        .copied()
        .ok_or_else(|| CliError::failed("the router does not listen"))
}

async fn with_router(folder: &Path, report: &mut Report, router: &Node) -> Result<(), CliError> {
    let way_in = way_in(router)?;
    let (ann_home, ben_home) = (Home::new(folder.join("ann")), Home::new(folder.join("ben")));
    let phones = async {
        let ann = new_phone(&ann_home, "Ann", way_in).await?;
        match new_phone(&ben_home, "Ben", way_in).await {
            Ok(ben) => {
                let text = format!("Ann     {}\nBen     {}", ann.address(), ben.address());
                Ok(((ann, ben), text))
            }
            Err(error) => {
                close(&ann).await;
                Err(error)
            }
        }
    };
    let (ann, ben) =
        report.step("Ann and Ben make a profile and start their phones", phones).await?;
    let outcome = with_phones(report, &ann, ben, &ben_home, way_in).await;
    let stored = match &outcome {
        Ok(ben) => store_lines(&[("Ann", &ann, &ann_home), ("Ben", ben, &ben_home)]).await,
        Err(_) => Ok(Vec::new()),
    };
    close(&ann).await;
    if let Ok(ben) = &outcome {
        close(ben).await;
    }
    outcome?;
    stored?.into_iter().for_each(|line| report.stored(line));
    Ok(())
}

/// The steps with two phones; gives back Ben's, which is another one than at the beginning.
async fn with_phones(
    report: &mut Report,
    ann: &Phone,
    ben: Phone,
    ben_home: &Home,
    way_in: Endpoint,
) -> Result<Phone, CliError> {
    let together = async {
        chat_and_mail(report, ann, &ben).await?;
        let on_the_way = report.step("Ben's phone stops while Ann writes to it", async {
            let words = say(ann, Target::Key(ben.public_key()), "See you at seven?");
            let (closed, line) = tokio::join!(ben.close(), words);
            closed?;
            let line = line?;
            let now = ann.messaging().line(line.id).await.map_err(CliError::failed)?;
            let now = now.unwrap_or_else(|| line.clone());
            Ok((line, format!("the line is {}, and Ben's phone is off", state(&now))))
        });
        on_the_way.await
    };
    let line = match together.await {
        Ok(line) => line,
        Err(error) => {
            close(&ben).await;
            return Err(error);
        }
    };
    let again = report.step("Ben's phone starts again, and the line is there", async {
        let ben = open_phone(ben_home, way_in).await?;
        let got = received(&ben, ann, &line.text);
        let arrived = async {
            got.await?;
            own_state(ann, &line, LineState::Delivered).await
        };
        match arrived.await {
            Ok(()) => Ok((ben, "received by Ben, delivered at Ann's".to_owned())),
            Err(error) => {
                close(&ben).await;
                Err(error)
            }
        }
    });
    again.await
}

async fn chat_and_mail(report: &mut Report, ann: &Phone, ben: &Phone) -> Result<(), CliError> {
    let first = report.step("Ann writes to Ben, through the router", async {
        let line = say(ann, Target::Address(ben.address()), "Good morning, Ben!").await?;
        let got = received(ben, ann, &line.text).await?;
        Ok((line, format!("Ben has it: \"{}\"", got.text)))
    });
    let line = first.await?;
    let delivered = report.step("Ann sees that it was delivered", async {
        own_state(ann, &line, LineState::Delivered).await?;
        Ok(((), "acknowledged by Ben's device, signed, after it was on his disk".to_owned()))
    });
    delivered.await?;
    let read = report.step("Ben reads it, and Ann sees that", async {
        ben.messaging()
            .mark_read(Target::Address(ann.address()), now_ms())
            .await
            .map_err(CliError::failed)?;
        own_state(ann, &line, LineState::Read).await?;
        Ok(((), "the line is read".to_owned()))
    });
    read.await?;
    report
        .step("Ann sends a mail with text, HTML and a file to Ben's address", mail(ann, ben))
        .await
}

async fn mail(ann: &Phone, ben: &Phone) -> Result<((), String), CliError> {
    let to = MailTarget { local: Some("ben".into()), target: Target::Address(ben.address()) };
    let written = MailDraft::from_eml(WELCOME).map_err(CliError::failed)?;
    let draft = MailDraft { to: vec![to], cc: Vec::new(), ..written };
    let subject = draft.subject.clone();
    ann.mail().send(draft, now_ms()).await.map_err(CliError::failed)?;
    let listed = until(ben, || async {
        let query = MailQuery { mailbox: Some(Mailbox::Inbox), ..MailQuery::default() };
        let mails = ben.mail().list(query).await.map_err(CliError::failed)?;
        Ok(mails.into_iter().find(|mail| mail.subject == subject))
    });
    let listed: MailView = listed.await?;
    let detail = ben.mail().show(listed.id).await.map_err(CliError::failed)?;
    let file = detail.attachments.first().ok_or_else(|| CliError::failed("the file is missing"))?;
    if detail.html.is_none() || detail.text.is_empty() {
        return Err(CliError::failed("a part of the mail is missing"));
    }
    let text = format!(
        "in Ben's inbox: \"{}\" from {}\nattached: {} ({}, {})",
        listed.subject,
        listed.from,
        file.name,
        file.content_type,
        bytes(file.size)
    );
    Ok(((), text))
}

async fn new_phone(home: &Home, name: &str, way_in: Endpoint) -> Result<Phone, CliError> {
    Phone::init(home.clone(), name, KeySource::File).await?;
    open_phone(home, way_in).await
}

async fn open_phone(home: &Home, way_in: Endpoint) -> Result<Phone, CliError> {
    let network =
        Network::Online(NodeOptions { peers: vec![way_in.into()], ..NodeOptions::default() });
    let options = PhoneOptions {
        home: home.clone(),
        key: KeySource::File,
        network,
        purpose: Purpose::Daemon,
    };
    Ok(Phone::open(options).await?)
}

async fn close(phone: &Phone) {
    if let Err(error) = phone.close().await {
        tracing::warn!(%error, "closing a phone");
    }
}

async fn say(phone: &Phone, to: Target, text: &str) -> Result<LineView, CliError> {
    phone.messaging().send(to, text, now_ms()).await.map_err(CliError::failed)
}

/// Waits until `phone` has a line with this text from `author`.
async fn received(phone: &Phone, author: &Phone, text: &str) -> Result<LineView, CliError> {
    until(phone, || async {
        let lines = lines(phone).await?;
        Ok(lines.into_iter().find(|line| line.text == text && line.from == author.address()))
    })
    .await
}

/// Waits until a line of one's own has come this far.
async fn own_state(phone: &Phone, line: &LineView, state: LineState) -> Result<(), CliError> {
    until(phone, || async {
        let lines = lines(phone).await?;
        Ok(lines.into_iter().any(|seen| seen.id == line.id && seen.state == state).then_some(()))
    })
    .await
}

async fn lines(phone: &Phone) -> Result<Vec<LineView>, CliError> {
    phone.messaging().list_lines(LineQuery::default()).await.map_err(CliError::failed)
}

/// Looks again at each event of a phone until there is what is looked for.
async fn until<T, F>(phone: &Phone, mut look: impl FnMut() -> F) -> Result<T, CliError>
where
    F: Future<Output = Result<Option<T>, CliError>>,
{
    let mut cursor = Cursor::START;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        let batch = phone.events().next_batch(cursor, usize::MAX).await;
        cursor = batch.ok_or_else(|| CliError::failed("the phone was closed"))?.cursor;
    }
}

async fn store_lines(phones: &[(&str, &Phone, &Home)]) -> Result<Vec<String>, CliError> {
    let mut out = Vec::new();
    for (name, phone, home) in phones {
        let on_disk = std::fs::metadata(home.database()).map_or(0, |file| file.len());
        out.push(format!("{name}'s profile, encrypted, {}:", size(on_disk)));
        for line in lines(phone).await? {
            out.push(format!("  line  [{}]  {}", state(&line), line.text));
        }
        for mail in mails(phone.mail()).await? {
            let (size, files) = (bytes(mail.size), mail.attachments);
            let (mailbox, subject) = (mail.mailbox, mail.subject);
            out.push(format!("  mail  [{mailbox}]  {subject}  ({size}, files: {files})"));
        }
    }
    Ok(out)
}

async fn mails(mail: &Mail) -> Result<Vec<MailView>, CliError> {
    mail.list(MailQuery::default()).await.map_err(CliError::failed)
}

fn state(line: &LineView) -> &'static str {
    crate::method::line_state(line.state)
}

fn bytes(count: usize) -> String {
    size(u64::try_from(count).unwrap_or(u64::MAX))
}
