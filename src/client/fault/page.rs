//! Pages of HTML that gateways send for errors: what is read on them.

use std::sync::LazyLock;

use regex::Regex;

use super::one_line;

/// Whether a text is a page of HTML, or of XML.
pub fn is_page(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

/// The page's title and words in one line, behind what it is.
pub fn told(page: &str) -> String {
    static UNREAD: LazyLock<Regex> = LazyLock::new(|| {
        let element = |name: &str| format!(r"<{name}\b.*?</{name}\s*>");
        let unread = ["script", "style", "svg", "noscript"].map(element).join("|");
        Regex::new(&format!(r"(?is)<!--.*?-->|{unread}|<[^>]*>?")).expect("a constant expression")
    });
    let words = one_line(&UNREAD.replace_all(page, " "));
    if words.is_empty() { "a page of HTML".to_owned() } else { format!("a page of HTML: {words}") }
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
            assert_eq!(told(page), expected, "{page}");
        }
    }
}
