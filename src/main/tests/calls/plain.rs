//! A client that knows only calls between two, in a conference with others that know more.

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use wello_wire::ns;
use wello_wire::payload::jingle::{Action, Jingle};
use wello_wire::xml::Element;

use crate::participant::Participant;
use crate::serve;
use crate::tone::Ear;

const JULIET: f32 = 400.0;
const NURSE: f32 = 1000.0;
const ROMEO: f32 = 2500.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hears_all_and_sees_one() {
    let server = serve(&["juliet", "nurse", "romeo"]).await;
    let mut juliet = Participant::enter(&server, "juliet").await;
    juliet.unlock().await;
    juliet.call_humming(JULIET).await;
    let mut nurse = Participant::enter(&server, "nurse").await;
    nurse.call_humming(NURSE).await;
    let mut romeo = Participant::enter(&server, "romeo").await;
    romeo.call_plainly(ROMEO).await;
    let mut ear = Ear::new();
    romeo
        .hears_until(RtpCodecKind::Audio, |payload| {
            ear.hear(payload);
            ear.level(JULIET) > 0.1 && ear.level(NURSE) > 0.1
        })
        .await;
    assert!(ear.level(ROMEO) < 0.02, "he hears himself: {}", ear.level(ROMEO));
    // Nobody has spoken yet: the first one is shown, until she shows nothing any more.
    romeo.hears(RtpCodecKind::Video, "juliet").await;
    let mut mute = Jingle::new(Action::SessionInfo, "up-juliet");
    let camera = Element::new("mute", ns::JINGLE_RTP_INFO).with_attr("name", "1");
    mute.others.push(camera);
    juliet.say(&mute).await;
    romeo.hears(RtpCodecKind::Video, "nurse").await;
    // To the others he is like any other.
    juliet.receive("nurse").await;
    juliet.receive("romeo").await;
    juliet.hears(RtpCodecKind::Video, "romeo").await;
}
