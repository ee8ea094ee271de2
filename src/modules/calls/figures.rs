//! How the participants of a conference do, for moderators: a row for each transport.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wello_kernel::Kernel;
use wello_sfu::api::{Flow, LegFigures, LegId};
use wello_wire::error::StanzaError;
use wello_wire::jid::{BareJid, FullJid};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};

use super::Calls;

/// FORM_TYPE of the table, which is the node of the command too.
pub const FIGURES: &str = "urn:wello:calls:0#figures";

/// What is told of a transport; empty where it is not known.
const COLUMNS: [(&str, &str); 11] = [
    ("occupant", "Whose"),
    ("joined", "Connected after (ms)"),
    ("round-trip", "Round trip (ms)"),
    ("estimate", "Believed to carry (kbit/s)"),
    ("received", "From there (kbit/s)"),
    ("received-loss", "Lost on the way from there (%)"),
    ("received-jitter", "Jitter from there (ms)"),
    ("sent", "To there (kbit/s)"),
    ("sent-loss", "Lost on the way to there (%)"),
    ("sent-jitter", "Jitter to there (ms)"),
    ("layers", "Layers that are sent"),
];

impl Calls {
    pub(super) async fn figures(
        &self,
        kernel: &Arc<Kernel>,
        place: &BareJid,
    ) -> Result<DataForm, StanzaError> {
        let (conference, whose) = {
            let conferences = self.conferences.lock();
            let conference = conferences.get(place);
            let conference =
                conference.ok_or_else(|| StanzaError::item_not_found("there is no conference"))?;
            (conference.id, conference.transports())
        };
        let figures = kernel.media.figures(conference).await;
        let figures =
            figures.map_err(|_| StanzaError::resource_constraint("the media engine is busy"))?;
        Ok(table(&whose, &figures))
    }
}

fn table(whose: &HashMap<LegId, FullJid>, figures: &[LegFigures]) -> DataForm {
    let mut form = DataForm::typed(FormKind::Result, FIGURES);
    form.reported = COLUMNS.map(|(var, label)| Field::text_single(var, label)).into();
    // Those of one participant are together.
    let mut rows: Vec<[String; 11]> =
        figures.iter().filter_map(|figures| Some(row(whose.get(&figures.leg)?, figures))).collect();
    rows.sort();
    let field = |((var, _), value): (&(&str, &str), String)| Field::untyped(*var).with_value(value);
    form.items = rows.into_iter().map(|row| COLUMNS.iter().zip(row).map(field).collect()).collect();
    form
}

fn row(whose: &FullJid, figures: &LegFigures) -> [String; 11] {
    let [received, received_loss, received_jitter] = flow(&figures.received);
    let [sent, sent_loss, sent_jitter] = flow(&figures.sent);
    let layers = figures.outputs.iter().filter_map(|output| {
        let layer = output.layer.as_ref()?;
        Some(format!("{}:{}", output.mid.as_str(), layer.as_str()))
    });
    [
        whose.to_string(),
        milliseconds(figures.joined_after),
        milliseconds(figures.round_trip),
        figures.estimate.map_or_else(String::new, kilobits),
        received,
        received_loss,
        received_jitter,
        sent,
        sent_loss,
        sent_jitter,
        layers.collect::<Vec<_>>().join(" "),
    ]
}

fn flow(flow: &Flow) -> [String; 3] {
    let loss = flow.loss.map_or_else(String::new, |loss| format!("{:.1}", loss * 100.0));
    [kilobits(flow.bitrate), loss, milliseconds(flow.jitter)]
}

fn milliseconds(duration: Option<Duration>) -> String {
    duration.map_or_else(String::new, |duration| duration.as_millis().to_string())
}

fn kilobits(bits: u64) -> String {
    (bits / 1000).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whose_transport_does_how() {
        let leg = LegId(7);
        let figures = LegFigures {
            leg,
            joined_after: Some(Duration::from_millis(120)),
            round_trip: None,
            estimate: Some(1_500_999),
            received: Flow { bitrate: 64_000, loss: Some(0.025), jitter: None },
            sent: Flow { bitrate: 0, loss: None, jitter: Some(Duration::from_millis(3)) },
            outputs: Vec::new(),
        };
        let stranger = LegFigures { leg: LegId(8), ..figures.clone() };
        let whose: FullJid = "hall@conference.capulet.example/juliet".parse().unwrap();
        let form = table(&HashMap::from([(leg, whose.clone())]), &[stranger, figures]);
        let values: Vec<Vec<String>> = form
            .items
            .iter()
            .map(|row| row.iter().flat_map(|field| field.values.clone()).collect())
            .collect();
        let expected = [whose.as_str(), "120", "", "1500", "64", "2.5", "", "0", "", "3", ""];
        assert_eq!(values, [expected]);
        assert_eq!(form.reported.len(), form.items[0].len());
    }
}
