//! The page around the sections: escaping, number formats, style sheet and skeleton.

use std::fmt::Write as _;
use std::path::{Component, Path};

/// Escapes text for HTML and SVG, in elements and in quoted attributes.
pub(super) fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A link to a file relative to the report. Without such a file it is only named.
pub(super) fn file_link(dir: &Path, file: &str, label: &str) -> String {
    let relative =
        Path::new(file).components().all(|c| !matches!(c, Component::RootDir | Component::Prefix(_)));
    if file.is_empty() || !relative || !dir.join(file).is_file() {
        return format!("<code>{}</code>", esc(label));
    }
    let mut href = String::from("./");
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                href.push(char::from(byte));
            }
            _ => {
                let _ = write!(href, "%{byte:02X}");
            }
        }
    }
    format!("<a href=\"{href}\">{}</a>", esc(label))
}

/// What stands in place of a number that is not finite.
pub(super) const NO_VALUE: &str = "n/a";

/// A number with `digits` decimals and a true minus sign.
pub(super) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return NO_VALUE.into();
    }
    let text = format!("{value:.digits$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').into()
    } else {
        text.replace('-', "−")
    }
}

/// Points of SOC.
pub(super) fn points(value: f64) -> String {
    number(value, 2)
}

/// A maximum in points of SOC; just above the target it gets the digits that show it.
pub(super) fn maximum(value: f64) -> String {
    use crate::results::TARGET_POINTS;
    number(value, if value > TARGET_POINTS && value < TARGET_POINTS + 0.005 { 4 } else { 2 })
}

/// A number of things: `1 run`, `2 runs`.
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// A share 0..1 in percent, rounded down so that a missed target never looks met.
pub(super) fn percent(share: f64) -> String {
    if share.is_finite() { number((share * 1000.0 + 1e-6).floor() / 10.0, 1) } else { NO_VALUE.into() }
}

/// A share in percent, or a dash.
pub(super) fn opt_percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), percent)
}

/// A time in minutes, or `never`.
pub(super) fn minutes(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "never".into(), |s| number(s / 60.0, 1))
}

/// A foldable part.
pub(super) fn details(summary: &str, open: bool, content: &str) -> String {
    format!(
        "<details{}><summary>{}</summary>\n{content}</details>\n",
        if open { " open" } else { "" },
        esc(summary)
    )
}

/// A drawing with the words under it; both are finished HTML.
pub(super) fn figure(svg: &str, caption: &str) -> String {
    format!("<figure>{svg}<figcaption>{caption}</figcaption></figure>\n")
}

/// A section of the page.
#[derive(Debug)]
pub(super) struct Section {
    /// Anchor.
    pub(super) id: &'static str,
    /// Heading.
    pub(super) title: &'static str,
    /// Finished HTML.
    pub(super) body: String,
}

/// The whole page.
pub(super) fn page(title: &str, intro: &str, sections: &[Section]) -> String {
    let mut nav = String::new();
    let mut main = String::new();
    for s in sections {
        let _ = write!(nav, "<a href=\"#{}\">{}</a>", s.id, esc(s.title));
        let _ = write!(main, "<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", s.id, esc(s.title), s.body);
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\n{intro}</header>\n\
         <nav>{nav}</nav>\n<main>\n{main}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        title = esc(title),
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#fff;--card:#f6f8fa;--fg:#1d2733;--dim:#5a6675;--grid:#e6eaef;--axis:#9aa5b1;\
--good:#1a7f37;--goodbg:#e4f5e8;--bad:#c0262d;--badbg:#fdeaea;--link:#0b5cad;\
--bms:#0b66b0;--cc:#d07c00;--ekf:#8446b8}\n\
@media (prefers-color-scheme:dark){:root{--bg:#12171d;--card:#1b222b;--fg:#e3e8ee;--dim:#9aa7b5;--grid:#2a333e;\
--axis:#556270;--good:#5fce7c;--goodbg:#12301c;--bad:#ff7a78;--badbg:#3b1a1c;--link:#74b4f5;\
--bms:#55aef5;--cc:#f0a53a;--ekf:#c08cf0}}\n\
*{box-sizing:border-box}html{scroll-behavior:smooth}\
body{margin:0 auto;max-width:1240px;padding:0 20px 60px;background:var(--bg);color:var(--fg);\
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif}\
h1{font-size:27px;margin:30px 0 8px}h2{font-size:20px;margin:44px 0 10px;padding-bottom:5px;\
border-bottom:1px solid var(--grid)}h3{font-size:16px;margin:24px 0 6px}p{max-width:86ch;margin:8px 0}\
a{color:var(--link)}code{font:13px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}\
.dim,figcaption{color:var(--dim);font-size:13.5px}ul{padding-left:22px}li{max-width:86ch}\n\
nav{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--grid);padding:8px 0;\
display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13.5px}nav a{text-decoration:none}section{scroll-margin-top:60px}\n\
.verdict{border:1px solid;border-left-width:6px;border-radius:6px;padding:12px 18px;margin:14px 0}\
.verdict.good{background:var(--goodbg);border-color:var(--good)}.verdict.bad{background:var(--badbg);\
border-color:var(--bad)}.verdict strong{font-size:18px}.verdict ul{margin:6px 0 0}\n\
.scroll{overflow-x:auto;margin:10px 0}.tall{max-height:75vh;overflow:auto;border:1px solid var(--grid)}\
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}\
th,td{padding:4px 8px;border-bottom:1px solid var(--grid);text-align:left;white-space:nowrap}\
th{background:var(--card);font-weight:600;vertical-align:bottom;white-space:normal}td.n,th.n{text-align:right}\
.tall th{position:sticky;top:0}th.bms{color:var(--bms)}th.cc{color:var(--cc)}th.ekf{color:var(--ekf)}\
tr.group th{text-align:left;color:var(--dim);font-weight:600}\
table.sort th[data-s]{cursor:pointer}table.sort th[data-s]:hover{text-decoration:underline}\
.ok{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}\
.best{font-weight:700;background:var(--goodbg)}\n\
figure{margin:14px 0;padding:0}figure>svg{display:block;max-width:100%;height:auto;background:#fff;border-radius:6px}\
figure text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;pointer-events:none}figcaption{margin-top:4px;\
max-width:100ch}.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:8px 24px}\
.maps{display:flex;flex-wrap:wrap;gap:6px 34px;align-items:flex-start}.maps h3{margin:14px 0 4px}.maps figure{margin:0}\
details{margin:10px 0}summary{cursor:pointer;font-weight:600;padding:4px 0}\
input.filter{font:inherit;padding:5px 9px;width:min(100%,380px);border:1px solid var(--axis);border-radius:5px;\
background:var(--bg);color:var(--fg)}\n\
@media (max-width:760px){nav{position:static}}@media print{nav,input.filter{display:none}.tall{max-height:none}}\n";

/// Sorts a table by a column and filters its rows; the page is complete without it.
const SCRIPT: &str = "\
document.querySelectorAll('table.sort').forEach(t=>{\
const b=t.tBodies[0];\
t.querySelectorAll('th[data-s]').forEach(h=>{h.title='sort by this column';h.onclick=()=>{\
const i=h.cellIndex,up=h.dataset.up!=='1';t.querySelectorAll('th').forEach(o=>delete o.dataset.up);\
h.dataset.up=up?'1':'0';\
const v=r=>{const c=r.cells[i];return c.dataset.v!==undefined?parseFloat(c.dataset.v):c.textContent};\
[...b.rows].sort((p,q)=>{const x=v(p),y=v(q);\
const o=typeof x==='number'&&typeof y==='number'?x-y:String(x).localeCompare(String(y),'en',{numeric:true});\
return up?o:-o}).forEach(r=>b.appendChild(r))}});\
const p=t.closest('.scroll,.tall'),f=document.createElement('input');f.className='filter';\
f.placeholder='show rows containing all of these words';\
f.oninput=()=>{const w=f.value.toLowerCase().split(/\\s+/);\
for(const r of b.rows){const s=r.textContent.toLowerCase();r.hidden=!w.every(x=>s.includes(x))}};\
p.before(f)});";
