#pragma once

#include <string_view>

namespace program {

/// CSS of the report but for its charts.
inline constexpr std::string_view report_style_sheet = R"css(
:root { --page: #f4f6f8; --paper: #ffffff; --ink: #18212b; --muted: #55616e; --grid: #e2e7ec;
  --accent: #0067a3; --changed: #ffe6a8; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #10151b; --paper: #19212a; --ink: #e9eef3; --muted: #a4b0bd; --grid: #313c48;
    --accent: #62b6ef; --changed: #5c4713; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: break-word;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans",
  sans-serif; }
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 12px; }
header { padding-top: 28px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 14px; letter-spacing: -0.01em; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 48px 0 6px; letter-spacing: -0.01em; }
h3 { font-size: 1.05rem; line-height: 1.3; margin: 0; }
p { margin: 0 0 12px; }
a { color: var(--accent); }
h1, .finding p, .summaries td, blockquote { overflow-wrap: anywhere; }
.kind { color: var(--muted); margin: 0 0 4px; font-size: 0.95rem; }
.finding { background: var(--paper); border-left: 5px solid var(--accent); border-radius: 4px 10px 10px 4px;
  padding: 16px 18px; margin: 0 0 14px; }
.finding p { margin: 0; font-size: 1.15rem; line-height: 1.5; }
.finding .caution { font-size: 0.95rem; color: var(--muted); margin-top: 8px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(146px, 1fr)); gap: 10px;
  margin: 0 0 18px; }
.tiles div { background: var(--paper); border-radius: 10px; padding: 12px 14px; }
.tiles dt { color: var(--muted); font-size: 0.85rem; }
.tiles dd { margin: 0; font-size: 1.5rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.tiles dd span { display: block; font-size: 0.85rem; font-weight: 400; color: var(--muted); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 18px;
  font-size: 0.95rem; }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 0; }
nav a { display: inline-block; padding: 6px 0; }
.lead { color: var(--muted); max-width: 70ch; margin-bottom: 16px; }
.charts { display: grid; grid-template-columns: 1fr; gap: 14px; }
figure { margin: 0; min-width: 0; background: var(--paper); border-radius: 10px; padding: 14px 12px 10px;
  display: flex; flex-direction: column; }
figcaption p { color: var(--muted); font-size: 0.9rem; margin: 2px 0 10px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0;
  margin: 0 0 8px; font-size: 0.9rem; }
.legend li { display: flex; align-items: center; gap: 7px; min-width: 0; overflow-wrap: anywhere; }
figure svg.chart { margin-top: auto; }
.scroll { overflow-x: auto; background: var(--paper); border-radius: 10px; margin: 0 0 18px; }
.scroll:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; line-height: 1.35; }
caption { text-align: left; font-weight: 650; padding: 12px 12px 6px; }
th, td { padding: 6px 12px; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { vertical-align: bottom; font-weight: 600; color: var(--muted); border-bottom-width: 2px; }
tbody:last-child tr:last-child > * { border-bottom: 0; }
.numbers th, .numbers td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.numbers thead th { white-space: normal; }
.numbers small { display: block; color: var(--muted); font-size: 0.8rem; }
.numbers th:first-child { text-align: left; position: sticky; left: 0; background: var(--paper);
  font-weight: 600; }
.numbers .group { color: var(--muted); padding-top: 14px; }
.numbers .group span { position: sticky; left: 12px; }
.best > * { background: color-mix(in srgb, var(--accent) 12%, var(--paper)); }
.numbers .best > th:first-child { background: color-mix(in srgb, var(--accent) 12%, var(--paper)); }
article { background: var(--paper); border-radius: 10px; padding: 14px 0 4px; margin: 0 0 18px; }
article > * { margin-left: 14px; margin-right: 14px; }
article h3 { margin-bottom: 8px; }
details { margin-bottom: 12px; }
summary { cursor: pointer; padding: 4px 0; color: var(--accent); }
blockquote { margin: 6px 0 0; padding: 2px 0 2px 14px; border-left: 3px solid var(--grid); }
blockquote p { margin: 0 0 4px; white-space: pre-wrap; }
.summaries { width: 100%; margin: 0; table-layout: fixed; }
.summaries th { text-align: left; white-space: nowrap; font-weight: 600; padding-left: 14px;
  font-variant-numeric: tabular-nums; }
.summaries th small { display: block; font-weight: 400; color: var(--muted); white-space: normal; }
.summaries thead th:first-child { width: 6.4rem; }
.summaries .group { color: var(--muted); padding-top: 14px; white-space: normal; }
.summaries .same td { color: var(--muted); }
.summaries .verdict { font-size: 0.8rem; color: var(--muted); white-space: nowrap; }
.reference > * { font-style: italic; }
mark { background: var(--changed); color: var(--ink); border-radius: 3px; padding: 0 2px; margin: 0 -2px;
  text-decoration: underline; text-decoration-thickness: 1px; text-underline-offset: 3px;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.terms dt { font-weight: 650; margin-top: 10px; }
.terms dd { margin: 0; max-width: 75ch; }
footer { color: var(--muted); font-size: 0.9rem; padding-top: 20px; padding-bottom: 32px; }
@media (min-width: 700px) {
  main, header, footer { padding-left: 24px; padding-right: 24px; }
  header { padding-top: 44px; }
  h1 { font-size: 2.4rem; }
  .finding p { font-size: 1.3rem; }
  .charts { grid-template-columns: 1fr 1fr; }
  .charts figure:last-child:nth-child(odd) { grid-column: 1 / -1; width: calc(50% - 7px);
    justify-self: center; }
  figure { padding: 16px 18px 12px; }
}
@page { size: A4; margin: 15mm 14mm; }
@media print {
  :root { --page: #fff; --paper: #fff; --ink: #000; --muted: #333; --grid: #ccc; --changed: #eee; }
  body { font-size: 10pt; line-height: 1.4; }
  main, header, footer { max-width: none; padding: 0; }
  nav { display: none; }
  h1 { font-size: 20pt; }
  h2 { font-size: 14pt; margin-top: 16pt; break-after: avoid; }
  h3, .terms dt, caption, thead, .lead { break-after: avoid; }
  .facts { grid-template-columns: max-content 1fr max-content 1fr; font-size: 9pt; margin: 0; }
  .finding { border: 1px solid #000; border-left-width: 5px; }
  .finding p { font-size: 12pt; }
  .tiles div { border: 1px solid #bbb; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .charts { grid-template-columns: 1fr 1fr; gap: 7mm 8mm; }
  .charts figure, .charts figure:last-child:nth-child(odd) { grid-column: auto; width: auto;
    break-inside: avoid; padding: 0; }
  figcaption p { font-size: 8.5pt; line-height: 1.3; margin-bottom: 4px; }
  .legend { font-size: 8.5pt; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  .numbers th, .numbers td { padding: 3px 6px; position: static !important; }
  .numbers thead th { white-space: normal; }
.numbers small { font-size: 6.5pt; }
  .summaries { font-size: 9pt; }
  summary { list-style: none; }
  tbody, tr, .finding, .tiles, .facts, .terms dd { break-inside: avoid; }
  article { padding: 0; }
  article > * { margin-left: 0; margin-right: 0; }
  a, summary { color: inherit; text-decoration: none; }
}
)css";

}  // namespace program
