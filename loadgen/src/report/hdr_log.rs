//! The interval log of HdrHistogram: one line with a compressed histogram for each interval of the record, which public
//! tools merge, filter and plot. Values are nanoseconds; the column of maxima is in milliseconds.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Report;

/// A log that is being written, one scenario after the other.
pub(crate) struct HdrLog {
    path: PathBuf,
    file: BufWriter<File>,
}

impl HdrLog {
    /// Creates the file.
    pub(crate) fn create(path: &Path) -> Result<HdrLog, String> {
        let file = File::create(path).map_err(|error| format!("--hdr-log {}: {error}", path.display()))?;
        Ok(HdrLog { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Appends a run; the lines of a run with a name are tagged with it.
    pub(crate) fn append(&mut self, report: &Report) -> Result<(), String> {
        write(report, &mut self.file)
            .and_then(|()| self.file.flush())
            .map_err(|error| format!("--hdr-log {}: {error}", self.path.display()))
    }
}

fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let Some(began) = report.began else { return Ok(()) };
    let tag = report.name.as_deref().map(tag_text).unwrap_or_default();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&format!("[wampline-loadgen {}]", env!("CARGO_PKG_VERSION")))
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(1e6);
    let mut log = builder.begin_log_with(out, &mut serializer)?;
    for interval in &report.intervals {
        let (start, length) =
            (Duration::from_secs_f64(interval.start), Duration::from_secs_f64(interval.seconds));
        log.write_histogram(&interval.latencies, start, length, Tag::new(&tag).filter(|_| !tag.is_empty()))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(())
}

/// A tag has neither commas nor white space.
fn tag_text(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::super::tests::report;
    use super::*;

    #[test]
    fn every_interval_is_there() {
        let report = Report { name: Some("a, b".to_owned()), ..report() };
        let mut log = Vec::new();
        write(&report, &mut log).unwrap();
        let mut deserializer = Deserializer::new();
        let mut starts = Vec::new();
        for entry in IntervalLogIterator::new(&log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                starts.push(interval.start_timestamp().as_secs_f64());
                assert_eq!(interval.duration(), Duration::from_millis(500));
                assert_eq!(interval.tag().unwrap().as_str(), "a__b");
                let octets = decode_base64(interval.encoded_histogram());
                let histogram: hdrhistogram::Histogram<u64> =
                    deserializer.deserialize(&mut octets.as_slice()).unwrap();
                assert_eq!(histogram.len(), 250);
                assert!((4_990..5_010).contains(&histogram.value_at_quantile(0.5)));
            }
        }
        assert_eq!(starts, [0.0, 0.5, 1.0, 1.5]);
    }

    fn decode_base64(text: &str) -> Vec<u8> {
        let digit = |c: u8| match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("{c}"),
        };
        let mut octets = Vec::new();
        let (mut bits, mut count) = (0_u32, 0);
        for c in text.trim_end_matches('=').bytes() {
            bits = bits << 6 | u32::from(digit(c));
            count += 6;
            if count >= 8 {
                count -= 8;
                octets.push((bits >> count) as u8);
            }
        }
        octets
    }
}
