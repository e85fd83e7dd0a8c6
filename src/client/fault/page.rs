//! Pages of HTML that gateways send for errors: what is read on them.

use std::sync::LazyLock;

use regex::Regex;

use super::one_line;

/// What a page is called in front of what is read on it.
pub const PAGE: &str = "a page of HTML";

/// How pages begin, in lower case; those that begin otherwise close an element.
const BEGINNINGS: [&str; 5] = ["<!doctype", "<!--", "<?xml", "<html", "<body"];

/// The bytes of a page that are looked at. In markup without an end each element is looked for to the end of the text,
/// which in megabytes of it would take for ever.
const LOOKED_AT: usize = 16 << 10;

/// Whether a text is a page of HTML, or of XML. Hosts' words may begin with a mark of a template, such as `<|im_start|>`.
pub fn is_page(text: &str) -> bool {
    let begins = beginning(text.trim_start());
    let is_marked = || {
        let lower = begins.to_ascii_lowercase();
        lower.contains("</") || BEGINNINGS.iter().any(|known| lower.starts_with(known))
    };
    begins.starts_with('<') && is_marked()
}

/// The page's title and words in one line, behind what it is.
pub fn told(page: &str) -> String {
    static UNREAD: LazyLock<Regex> = LazyLock::new(|| {
        let element = |name: &str| format!(r"<{name}(?-u:\b).*?</{name}\s*>");
        let unread = ["script", "style", "svg", "noscript"].map(element).join("|");
        Regex::new(&format!(r"(?is)<!--.*?-->|{unread}|<[^>]*>?")).expect("a constant expression")
    });
    let words = one_line(&UNREAD.replace_all(beginning(page), " "));
    if words.is_empty() { PAGE.to_owned() } else { format!("{PAGE}: {words}") }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKED_AT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_on_a_page_is_told_in_one_line() {
        for (page, expected) in [
            ("<html><h1>Bad</h1>", "a page of HTML: Bad"),
            ("<html></html>", "a page of HTML"),
            ("<html", "a page of HTML"),
            (
                "<!doctype html>\n<head><title>400 Bad\n Request</title><style>p { color: red }</style></head>\
                 <!-- nginx --><body><script>go(1 < 2)</script><p>No tools <b>here</b></p>",
                "a page of HTML: 400 Bad Request No tools here",
            ),
        ] {
            assert!(is_page(page), "{page}");
            assert_eq!(told(page), expected, "{page}");
        }
    }

    #[test]
    fn words_that_begin_with_a_mark_are_no_page() {
        for words in ["<|im_start|> is no token", "<ping>", "<think> is not supported", "a <b>b</b>", "<"] {
            assert!(!is_page(words), "{words}");
        }
        assert!(is_page(" <h1>Bad gateway</h1>"));
    }

    #[test]
    fn of_markup_without_an_end_the_beginning_is_looked_at() {
        let page = format!("<html>Bad gateway{}", "<script>é".repeat(1 << 20));
        assert!(told(&page).starts_with("a page of HTML: Bad gateway"));
    }
}
