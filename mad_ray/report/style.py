"""The page's one style sheet, for light and dark screens and for paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #5f6873; --line: #dfe3e8; --paper: #fbfbfc; --card: #ffffff;
  --mad: #b3261e; --settled: #8a5a00; --stable: #17693a; --undecided: #57606a; --accent: #0b63b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa4af; --line: #343a42; --paper: #15181c;
  --card: #1d2126; --mad: #ff8a80; --settled: #f2b84b; --stable: #6fd08c; --undecided: #a8b1bb; --accent: #7cb8f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.2rem 1.4rem 4rem; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.6rem 0 .7rem; font-size: 1.2rem; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 78ch; }
.lead { margin: .5rem 0 1.4rem; font-size: 1.1rem; }
.soft, figcaption, small { color: var(--soft); font-size: .86rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: .8rem; color: var(--soft); white-space: nowrap; }
th, td { padding: .6rem .8rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
td small { display: block; }
sub { line-height: 0; }
.verdicts { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; }
.verdicts tr:last-child td, .verdicts tr.top td { border-bottom: 0; }
.verdicts tr.top td { padding-bottom: .1rem; }
.verdicts tr.words td { padding-top: .2rem; padding-bottom: .9rem; }
.verdicts .case { font-weight: 600; overflow-wrap: anywhere; min-width: 10rem; width: 34%; }
.verdicts .case small { font-weight: 400; }
.badge { display: inline-block; padding: .05rem .6rem; border-radius: 1rem; border: 1.5px solid currentColor;
  font-size: .82rem; font-weight: 700; white-space: nowrap; }
.MAD { color: var(--mad); } .settled { color: var(--settled); } .stable { color: var(--stable); }
.undecided { color: var(--undecided); }
.part { color: var(--settled); } .failed { color: var(--mad); }
figure { margin: 0 0 1.2rem; width: fit-content; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.sheet { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .8rem; }
.sheet { overflow-x: auto; }
.live, .hint, .awake .still { display: none; }
.awake .hint { display: inline; }
.awake .live { display: block; }
figcaption { margin: .4rem .2rem 0; width: 0; min-width: calc(100% - .4rem); }
a { color: var(--accent); } .files { white-space: nowrap; }
.strips { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
details { margin: .5rem 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
summary { padding: .6rem .9rem; cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
details > div { padding: 0 .9rem .9rem; overflow-x: auto; }
details table th, details table td { padding: .3rem .6rem; font-size: .85rem; }
.rule { background: var(--card); border-left: 3px solid var(--accent); padding: .5rem 1rem;
  border-radius: 0 8px 8px 0; }
.rule p { max-width: 90ch; }
pre { margin: 0; font: .8rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media print { .awake .still { display: block; } .awake .live, .awake .hint, .files { display: none; }
  body { background: #fff; } details { break-inside: avoid; } }
"""
