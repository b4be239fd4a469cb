//! Chat between two whole phones over loopback: how soon one line is there, and how fast a full
//! outbox empties when the other phone appears.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use threephone::address::Target;
use threephone::messaging::{LineId, LineQuery, MessagingEvent};
use threephone::{Cursor, Event, Phone};
use tokio::task::JoinSet;

use crate::Error;
use crate::figure::{
    DRAIN, DRAIN_SYNCS_RECEIVER, DRAIN_SYNCS_SENDER, LINE, LINE_DELIVERED, ONE_SYNC,
    SYNCS_RECEIVER, SYNCS_SENDER,
};
use crate::phone::{Handset, endpoints, events, now_ms, target};
use crate::report::{Report, median};

/// Lines in one run, and those before them that are not counted.
const LINES: usize = 200;
const WARM_UP: usize = 10;
/// Lines waiting for the phone that appears.
const QUEUED: usize = 10_000;
/// Lines that are being queued at a time: they share commits.
const QUEUEING: usize = 256;
/// How often an outbox is looked at whose rest is on its way.
const LOOK: Duration = Duration::from_millis(2);
/// By when it must be empty.
const LAST_LOOK: Duration = Duration::from_secs(60);

/// Two profiles, on disks of their own.
struct Pair {
    folder: tempfile::TempDir,
    ann: Handset,
    ben: Handset,
}

impl Pair {
    async fn make() -> Result<Self, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir()?;
        let ann = Handset::make(folder.path(), "ann", &format!("ann-{number}")).await?;
        let ben = Handset::make(folder.path(), "ben", &format!("ben-{number}")).await?;
        Ok(Self { folder, ann, ben })
    }
}

/// One run of single lines: each waits for the one before to be acknowledged.
pub(crate) async fn measure_latency(report: &mut Report) -> Result<(), Error> {
    let pair = Pair::make().await?;
    let ben = pair.ben.open(&[]).await?;
    let ann = pair.ann.open(&endpoints(&ben).await?).await?;
    one(&pair, &ben, &ann).await?;
    for _ in 0..WARM_UP {
        one(&pair, &ann, &ben).await?;
    }
    let mut took = Vec::with_capacity(LINES);
    for _ in 0..LINES {
        took.push(one(&pair, &ann, &ben).await?);
    }
    let middle = |pick: fn(&Took) -> f64| median(&took.iter().map(pick).collect::<Vec<_>>());
    report.add(LINE, middle(|took| took.event));
    report.add(LINE_DELIVERED, middle(|took| took.delivered));
    report.add(SYNCS_SENDER, middle(|took| took.syncs_ann));
    report.add(SYNCS_RECEIVER, middle(|took| took.syncs_ben));
    let lean = took.iter().filter(|took| (took.syncs_ann, took.syncs_ben) == (1.0, 1.0)).count();
    report.add(ONE_SYNC, 100.0 * lean as f64 / took.len() as f64);
    check_lines(&ben, &ann, WARM_UP + LINES + 1).await?;
    ann.close().await?;
    ben.close().await?;
    Ok(pair.folder.close()?)
}

/// What one line took: milliseconds, and syncs until the receiver's event.
struct Took {
    event: f64,
    delivered: f64,
    syncs_ann: f64,
    syncs_ben: f64,
}

async fn one(pair: &Pair, from: &Phone, to: &Phone) -> Result<Took, Error> {
    let (at_sender, at_receiver) = (from.events().now(), to.events().now());
    let (syncs_ann, syncs_ben) = (pair.ann.syncs(), pair.ben.syncs());
    let begun = Instant::now();
    let line = from.messaging().send(target(to), "Is this line there already?", now_ms()).await?;
    wait_for(to, at_receiver, |event| matches!(event, MessagingEvent::LineAdded { .. })).await?;
    let event = begun.elapsed();
    let (syncs_ann, syncs_ben) = (pair.ann.syncs() - syncs_ann, pair.ben.syncs() - syncs_ben);
    wait_for(from, at_sender, |event| is_change(event, line.id)).await?;
    Ok(Took {
        event: event.as_secs_f64() * 1e3,
        delivered: begun.elapsed().as_secs_f64() * 1e3,
        syncs_ann: syncs_ann as f64,
        syncs_ben: syncs_ben as f64,
    })
}

fn is_change(event: &MessagingEvent, line: LineId) -> bool {
    matches!(event, MessagingEvent::LineChanged { id, .. } if *id == line)
}

async fn wait_for(
    phone: &Phone,
    mut after: Cursor,
    wanted: impl Fn(&MessagingEvent) -> bool,
) -> Result<(), Error> {
    loop {
        let batch = events(phone, after).await?;
        let chat = |event: &Event| matches!(event, Event::Chat(event) if wanted(event));
        if batch.events.iter().any(chat) {
            return Ok(());
        }
        after = batch.cursor;
    }
}

/// One run of a full outbox. The clock starts before the receiving phone is opened and stops when
/// it has announced every line and the sender's outbox is empty.
pub(crate) async fn measure_drain(report: &mut Report) -> Result<(), Error> {
    let pair = Pair::make().await?;
    let ann = pair.ann.open(&[]).await?;
    let way_in = endpoints(&ann).await?;
    let ben = pair.ben.open(&way_in).await?;
    // They know each other: strangers are rationed.
    one(&pair, &ben, &ann).await?;
    let to = target(&ben);
    ben.close().await?;
    fill(&ann, to).await?;

    let (syncs_ann, syncs_ben) = (pair.ann.syncs(), pair.ben.syncs());
    let begun = Instant::now();
    let ben = pair.ben.open(&way_in).await?;
    wait_for_lines(&ben, &ann).await?;
    wait_for_empty_outbox(&ann).await?;
    let took = begun.elapsed();
    report.add(DRAIN, QUEUED as f64 / took.as_secs_f64());
    report.add(DRAIN_SYNCS_SENDER, (pair.ann.syncs() - syncs_ann) as f64);
    report.add(DRAIN_SYNCS_RECEIVER, (pair.ben.syncs() - syncs_ben) as f64);
    check_lines(&ben, &ann, QUEUED + 1).await?;
    ann.close().await?;
    ben.close().await?;
    Ok(pair.folder.close()?)
}

async fn fill(phone: &Phone, to: Target) -> Result<(), Error> {
    let mut sending = JoinSet::new();
    for number in 0..QUEUED {
        if sending.len() >= QUEUEING
            && let Some(sent) = sending.join_next().await
        {
            sent??;
        }
        let messaging = phone.messaging().clone();
        let text = format!("Line {number} of those that wait.");
        sending.spawn(async move { messaging.send(to, &text, now_ms()).await.map(|_| ()) });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

/// Until as many lines were announced as are on their way. Events that this reader was too slow for
/// count as lines; whether all are there is asked in the end.
async fn wait_for_lines(phone: &Phone, from: &Phone) -> Result<(), Error> {
    let (mut cursor, mut added) = (Cursor::START, 0);
    loop {
        let batch = events(phone, cursor).await?;
        for event in &batch.events {
            match event {
                Event::Chat(MessagingEvent::LineAdded { .. }) => added += 1,
                Event::Overflow { lost } => added += usize::try_from(*lost)?,
                _ => {}
            }
        }
        if added >= QUEUED && unread(phone, from).await? >= QUEUED {
            return Ok(());
        }
        cursor = batch.cursor;
    }
}

async fn unread(phone: &Phone, from: &Phone) -> Result<usize, Error> {
    let chats = phone.messaging().list_chats().await?;
    let chat = chats.iter().find(|chat| chat.peer == from.address());
    Ok(usize::try_from(chat.map_or(0, |chat| chat.unread))?)
}

async fn wait_for_empty_outbox(phone: &Phone) -> Result<(), Error> {
    let begun = Instant::now();
    while begun.elapsed() < LAST_LOOK {
        let counts = phone.delivery().outbox_counts().await?;
        if counts.failed > 0 {
            return Err(format!("{} lines failed", counts.failed).into());
        }
        if counts.queued + counts.sending == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err("the outbox does not empty".into())
}

/// Every line is there once, in its author's order.
async fn check_lines(phone: &Phone, with: &Phone, expected: usize) -> Result<(), Error> {
    let query = LineQuery { with: Some(target(with)), ..LineQuery::default() };
    let lines = phone.messaging().list_lines(query).await?;
    let theirs = lines.iter().filter(|line| line.from == with.address());
    if lines.len() != expected || !theirs.map(|line| line.seq).is_sorted_by(|a, b| a + 1 == *b) {
        return Err(format!("{} lines instead of {expected}, or in disorder", lines.len()).into());
    }
    Ok(())
}
