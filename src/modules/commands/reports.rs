//! What users have reported as spam or abuse (XEP-0377).

use async_trait::async_trait;
use wello_kernel::Kernel;
use wello_store::{Report, ReportId, StoreError};
use wello_wire::payload::data_form::{DataForm, Field, FormKind};
use wello_wire::payload::datetime::Timestamp;

use super::command::{AdHocCommand, Context, Outcome, values};

pub(super) fn all() -> Vec<Box<dyn AdHocCommand>> {
    vec![Box::new(Reports)]
}

/// Shows the newest reports, and takes out those that are dealt with.
struct Reports;

const NODE: &str = "urn:wello:reports:0";
/// Reports that are shown at once, the newest.
const SHOWN: u32 = 100;

#[async_trait]
impl AdHocCommand for Reports {
    fn node(&self) -> &'static str {
        NODE
    }

    fn name(&self) -> &'static str {
        "Reports of spam and abuse"
    }

    fn forms(&self) -> Vec<DataForm> {
        let form = DataForm::typed(FormKind::Form, NODE)
            .with_title("Reports of spam and abuse")
            .with_instructions("Those that you choose are removed; the others are shown next.")
            .with(Field::list_multi("done", "Dealt with").open());
        vec![form]
    }

    async fn show(&self, context: &Context<'_>, form: DataForm) -> DataForm {
        let reports = list(context.kernel).await.unwrap_or_default();
        let with_options = |mut field: Field| {
            if field.var.as_deref() == Some("done") {
                for (id, report) in &reports {
                    field = field.with_option(label(report), id.0.to_string());
                }
            }
            field
        };
        DataForm { fields: form.fields.into_iter().map(with_options).collect(), ..form }
    }

    async fn run(&self, context: &Context<'_>, filled: &[DataForm]) -> Outcome {
        for text in values(filled, "done") {
            let Ok(id) = text.parse() else {
                return Outcome::Failed(format!("{text:?} is no report"));
            };
            if let Err(error) = context.kernel.store.reports.remove(ReportId(id)).await {
                return failed(&error);
            }
        }
        match list(context.kernel).await {
            Ok(reports) => Outcome::Result(table(&reports)),
            Err(error) => failed(&error),
        }
    }
}

async fn list(kernel: &Kernel) -> Result<Vec<(ReportId, Report)>, StoreError> {
    kernel.store.reports.list(None, SHOWN).await
}

/// The last part of `urn:xmpp:reporting:spam`.
fn reason(report: &Report) -> &str {
    report.reason.rsplit(':').next().unwrap_or_default()
}

fn time(report: &Report) -> String {
    let seconds = report.time.as_micros().div_euclid(1_000_000) * 1_000_000;
    Timestamp::from_micros(seconds).to_string()
}

fn label(report: &Report) -> String {
    let text = report.text.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
    let Report { reporter, reported, .. } = report;
    format!("{} {}: {reported}, reported by {reporter}{text}", time(report), reason(report))
}

fn table(reports: &[(ReportId, Report)]) -> DataForm {
    let mut form = DataForm::typed(FormKind::Result, NODE);
    form.reported = vec![
        Field::text_single("id", "Number"),
        Field::text_single("time", "Time"),
        Field::text_single("reason", "Reason"),
        Field::jid_single("reported", "Reported"),
        Field::jid_single("reporter", "Reported by"),
        Field::text_single("text", "Text"),
    ];
    let row = |(id, report): &(ReportId, Report)| {
        let field = |var: &str, value: &str| Field::untyped(var).with_value(value);
        vec![
            field("id", &id.0.to_string()),
            field("time", &time(report)),
            field("reason", reason(report)),
            field("reported", &report.reported),
            field("reporter", &report.reporter),
            field("text", report.text.as_deref().unwrap_or_default()),
        ]
    };
    form.items = reports.iter().map(row).collect();
    form
}

fn failed(error: &StoreError) -> Outcome {
    tracing::error!(%error, "reports not reached");
    Outcome::Failed("the store does not answer".to_owned())
}
