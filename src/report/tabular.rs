//! Results, samples and attempts as rows of named, typed columns, which become CSV or JSON lines.
//!
//! Layer 4, pure. The columns are a contract: one may be added at the end, none changes its name, its type or its place.

use serde_json::{Map, Value};

use super::csv::{Cell, Table};
use crate::sample::Sample;
use crate::store::{RecordedAttempt, RecordedResult, RunRecord};

/// Columns by name with what they hold of a row.
type Columns<T> = Vec<(&'static str, fn(&T) -> Cell)>;

fn table<T>(columns: &Columns<T>, items: &[T]) -> Table {
    Table {
        names: columns.iter().map(|(name, _)| *name).collect(),
        rows: items.iter().map(|item| columns.iter().map(|(_, of)| of(item)).collect()).collect(),
    }
}

/// Results with their runs, one row for each endpoint of each run.
pub fn results(runs: &[(RunRecord, Vec<RecordedResult>)]) -> Table {
    type Row<'a> = (&'a RunRecord, &'a RecordedResult);
    let columns: Columns<Row<'_>> = vec![
        ("run", |(run, _)| run.id.to_string().into()),
        ("model", |(run, _)| run.model.as_str().into()),
        ("reference", |(run, _)| run.reference.as_str().into()),
        ("started_at", |(run, _)| run.started_at.to_string().into()),
        ("finished_at", |(run, _)| run.end.map(|end| end.at.to_string()).into()),
        ("status", |(run, _)| run.end.map_or("running", |end| end.how.as_str()).into()),
        ("endpoint", |(_, r)| r.result.endpoint.as_str().into()),
        ("verdict", |(_, r)| r.result.verdict.as_str().into()),
        ("reason", |(_, r)| r.result.reason.as_str().into()),
        ("effect_name", |(_, r)| r.result.effect.as_ref().map(|e| e.name.as_str()).into()),
        ("estimate", |(_, r)| r.result.effect.as_ref().map(|e| e.estimate).into()),
        ("low", |(_, r)| r.result.effect.as_ref().map(|e| e.low).into()),
        ("high", |(_, r)| r.result.effect.as_ref().map(|e| e.high).into()),
        ("tolerance", |(_, r)| r.result.tolerance.into()),
        ("p_value", |(_, r)| r.result.p_value.into()),
        ("q_value", |(_, r)| r.result.q_value.into()),
        ("e_value", |(_, r)| r.result.e_value.into()),
        ("samples", |(_, r)| r.result.samples.into()),
        ("attempts", |(_, r)| r.result.attempts.into()),
        ("errors", |(_, r)| r.result.errors.into()),
        ("cost", |(_, r)| r.result.cost.into()),
        ("findings", |(_, r)| serde_json::to_string(&r.result.findings).unwrap_or_default().into()),
    ];
    let rows: Vec<Row<'_>> = runs.iter().flat_map(|(run, results)| results.iter().map(move |r| (run, r))).collect();
    table(&columns, &rows)
}

/// Samples, one row each; for a failed attempt a row with `error_kind`.
pub fn samples(lines: &[Sample]) -> Table {
    let columns: Columns<&Sample> = vec![
        ("model", |s| s.model.as_deref().into()),
        ("endpoint", |s| s.endpoint.as_str().into()),
        ("probe", |s| s.probe.as_str().into()),
        ("probe_digest", |s| s.probe_digest.as_deref().into()),
        ("replicate", |s| s.replicate.into()),
        ("answered_at", |s| s.at.map(|at| at.to_string()).into()),
        ("text", |s| s.text.as_str().into()),
        ("reasoning", |s| s.reasoning.as_deref().into()),
        ("finish_reason", |s| s.finish_reason.as_deref().into()),
        ("prompt_tokens", |s| s.usage.and_then(|u| u.prompt_tokens).into()),
        ("completion_tokens", |s| s.usage.and_then(|u| u.completion_tokens).into()),
        ("tool_calls", |s| serde_json::to_string(&s.tool_calls).unwrap_or_default().into()),
        ("response_model", |s| s.response_model.as_deref().into()),
        ("system_fingerprint", |s| s.system_fingerprint.as_deref().into()),
        ("provider", |s| s.provider.as_deref().into()),
        ("first_token_ms", |s| s.latency_ms.and_then(|l| l.first_token).into()),
        ("total_ms", |s| s.latency_ms.map(|l| l.total).into()),
        ("temperature", |s| s.parameters.as_ref().and_then(|p| p.temperature).into()),
        ("error_kind", |s| s.error.as_ref().map(|e| e.kind.as_str()).into()),
        ("error_message", |s| s.error.as_ref().map(|e| e.message.as_str()).into()),
    ];
    table(&columns, &lines.iter().collect::<Vec<_>>())
}

/// Attempts, one row each, without what hosts sent.
pub fn attempts(attempts: &[RecordedAttempt]) -> Table {
    let columns: Columns<&RecordedAttempt> = vec![
        ("endpoint", |a| a.slot.endpoint.as_str().into()),
        ("probe", |a| a.slot.probe.as_str().into()),
        ("replicate", |a| a.slot.replicate.into()),
        ("number", |a| a.number.into()),
        ("started_at", |a| a.started_at.to_string().into()),
        ("elapsed_ms", |a| (a.elapsed.as_secs_f64() * 1000.0).into()),
        ("status", |a| a.status.map(u32::from).into()),
        ("outcome", |a| if a.failure.is_some() { "failed" } else { "answered" }.into()),
        ("failure_kind", |a| a.failure.as_ref().map(|f| f.kind.as_str()).into()),
        ("failure_message", |a| a.failure.as_ref().map(|f| f.message.as_str()).into()),
    ];
    table(&columns, &attempts.iter().collect::<Vec<_>>())
}

/// The rows as JSON lines, each an object of the columns; what is absent is left out.
pub fn json_lines(table: &Table) -> String {
    let object = |row: &Vec<Cell>| {
        let fields = table.names.iter().zip(row).filter_map(|(name, cell)| {
            let value = match cell {
                Cell::Absent => return None,
                Cell::Text(text) => Value::from(text.as_str()),
                Cell::Whole(number) => Value::from(*number),
                Cell::Number(number) => Value::from(*number),
            };
            Some(((*name).to_owned(), value))
        });
        Value::Object(fields.collect::<Map<_, _>>()).to_string() + "\n"
    };
    table.rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::SampleError;

    #[test]
    fn rows_have_a_cell_for_each_column_and_lines_leave_out_what_is_absent() {
        let failed = Sample {
            error: Some(SampleError { kind: "reset".into(), message: "=1+1".into() }),
            ..Sample::new("e", "p", "")
        };
        let table = samples(&[failed]);
        assert!(table.rows.iter().all(|row| row.len() == table.names.len()));
        let text = super::super::csv::render(&table);
        assert!(text.ends_with(",reset,=1+1\r\n"), "{text}");
        assert_eq!(
            json_lines(&table),
            "{\"endpoint\":\"e\",\"probe\":\"p\",\"replicate\":0,\"text\":\"\",\"tool_calls\":\"[]\",\
             \"error_kind\":\"reset\",\"error_message\":\"=1+1\"}\n"
        );
    }
}
