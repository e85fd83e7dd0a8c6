//! The command line of `samemodel lab`, as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `samemodel lab`
#[derive(Debug, Args)]
pub struct Lab {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: LabVerb,
}

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Explain each fault that the lab can give an endpoint, with where it was seen in the field.
    List(LabList),
    /// Serve one endpoint of the lab until Ctrl-C, for any client.
    Serve(LabServe),
    /// Measure how often a check finds each fault, and how often it accuses honest hosts.
    Power(LabPower),
    /// Write a model of the lab as a GGUF file, for llama.cpp and other engines.
    ///
    /// The file has the architecture `llama`, the tokenizer and the chat template. The projection that brings images in is left
    /// out, as that architecture has no place for it: the model in the file reads text alone.
    Export(LabExport),
}

/// `samemodel lab list`
#[derive(Debug, Args)]
pub struct LabList {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// `samemodel lab serve`
#[derive(Debug, Args)]
pub struct LabServe {
    /// A fault, with its parameter and schedule as in a `lab:` address, such as `quantized-weights=q8_0`; may be given several
    /// times, and takes traits of the host such as `dialect=together` too.
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Serve the model of this GGUF file, as `lab export` writes them, instead of the usual one; it reads no images.
    #[arg(long, value_name = "FILE")]
    pub gguf: Option<PathBuf>,
    /// The port on 127.0.0.1; a free one when 0.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// From which all randomness derives.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// The environment variable with the key that requests must carry; none is asked for otherwise.
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,
    /// Where the lab's clock begins, such as `3d`: schedules of faults go by it.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub at: String,
    /// How many seconds of the lab's clock pass in one real second.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    pub speed: f64,
    /// Worker threads [default: as many as processors, 2 at most].
    #[arg(long, value_name = "COUNT")]
    pub workers: Option<std::num::NonZeroUsize>,
}

/// `samemodel lab power`
#[derive(Debug, Args)]
pub struct LabPower {
    /// Only this fault, with its parameter, or several joined by `+`; may be given several times [default: all, and the honest
    /// variants].
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Which severities of each fault.
    #[arg(long, value_enum, default_value_t = SeverityChoice::Usual, value_name = "WHICH", conflicts_with = "fault")]
    pub severities: SeverityChoice,
    /// How much is asked of each endpoint: `default`, `short`, or pairs such as `sampled=12,answers=25,greedy=0,tokens=32`; may
    /// be given several times.
    #[arg(long, value_name = "DESIGN", default_value = "default")]
    pub design: Vec<String>,
    /// Trials of each case and design.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub seeds: u32,
    /// The seed of the first trial. Thresholds were chosen with seeds below 1000.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    pub first_seed: u64,
    /// Folders or files of probes [default: the shipped ones that no threshold was chosen with].
    #[arg(long, value_name = "PATH")]
    pub probes: Vec<String>,
    /// What tokens are reckoned to cost, in US dollars per million: prompt, answer.
    #[arg(long, value_name = "PRICES", default_value = "0.27,0.85", value_parser = prices)]
    pub price: (f64, f64),
    /// The form of the report.
    #[arg(long, short, value_enum, default_value_t = PowerFormat::Table)]
    pub format: PowerFormat,
    /// Write the report here instead of to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Which severities take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SeverityChoice {
    /// The usual one of each fault.
    Usual,
    /// All of the catalogue.
    All,
}

/// The form of a report of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PowerFormat {
    /// A table for a terminal.
    Table,
    /// The same as Markdown.
    Markdown,
    /// `samemodel.power/1`.
    Json,
    /// Curves of detection by severity.
    Svg,
}

/// `samemodel lab export`
#[derive(Debug, Args)]
pub struct LabExport {
    /// Which model.
    #[arg(long, value_enum, default_value_t = ModelChoice::Base, value_name = "NAME")]
    pub model: ModelChoice,
    /// How its weights are kept.
    #[arg(long, value_enum, default_value_t = WeightsChoice::F16, value_name = "FORMAT")]
    pub weights: WeightsChoice,
    /// The file to write [default: lab-MODEL-WEIGHTS.gguf].
    #[arg(long, short, alias = "output", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over a file that is there already.
    #[arg(long)]
    pub force: bool,
}

/// A model of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelChoice {
    /// The one that the lab's endpoints serve.
    Base,
    /// The smaller one that a host serves which has swapped the model.
    Small,
    /// The first one, tuned for chat.
    Chat,
}

/// How weights are kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightsChoice {
    /// Single precision.
    F32,
    /// Half precision, as the lab serves them.
    F16,
    /// 8 bits and a scale for 32 numbers.
    #[value(name = "q8_0")]
    Q8,
    /// 5 bits and a scale for 32 numbers.
    #[value(name = "q5_0")]
    Q5,
    /// 4 bits and a scale for 32 numbers.
    #[value(name = "q4_0")]
    Q4,
}

fn prices(text: &str) -> Result<(f64, f64), String> {
    let price = |text: &str| text.trim().parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
    let pair = text.split_once(',').and_then(|(input, output)| Some((price(input)?, price(output)?)));
    pair.ok_or_else(|| "two prices are expected, such as 0.27,0.85".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_two_numbers() {
        assert_eq!(prices("0.27, 0.85"), Ok((0.27, 0.85)));
        for text in ["", "1", "1,x", "-1,2", "NaN,1"] {
            assert!(prices(text).is_err(), "{text}");
        }
    }
}
