"""Charts by hand: horizontal bars in SVG, readable in light and dark because they say both."""

from html import escape

STYLE = """<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.small{font-size:11px;fill:#59636e}
.ours{fill:#0a7d5a}.floor{fill:#8c959f}.other{fill:#b8c0c8}.spread{stroke:#1f2328;stroke-width:1.2}.axis{stroke:#d1d9e0}
.line1{stroke:#0a7d5a}.line2{stroke:#8250df}.line3{stroke:#bf5b04}.line4{stroke:#0969da}.line{fill:none;stroke-width:2}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.ours{fill:#3fb68b}.floor{fill:#7d8590}
.other{fill:#4a525b}.spread{stroke:#e6edf3}.axis{stroke:#3d444d}.line1{stroke:#3fb68b}.line2{stroke:#b392f0}
.line3{stroke:#f0a35e}.line4{stroke:#58a6ff}}
</style>"""

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 210, 90, 26, 56


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def frame(title, subtitle, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(title, quote=True)}">{STYLE}\n'
            f'<text x="12" y="22" class="title">{escape(title)}</text>\n'
            f'<text x="12" y="40" class="small">{escape(subtitle)}</text>\n{body}</svg>\n')


def bars(title, subtitle, rows, unit):
    """`rows` are (name, class, median, least, most), drawn in the order given."""
    most = max(row[4] for row in rows)
    scale = (WIDTH - LEFT - RIGHT) / most if most > 0 else 0
    body = []
    for i, (name, kind, median, least, greatest) in enumerate(rows):
        y = TOP + i * ROW
        length = max(1.0, median * scale)
        body.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" rx="2" class="{kind}"/>')
        if greatest > least:
            a, b, middle = LEFT + least * scale, LEFT + greatest * scale, y + 2 + (ROW - 8) / 2
            body.append(f'<path d="M{a:.1f} {middle - 4}v8M{b:.1f} {middle - 4}v8M{a:.1f} {middle}H{b:.1f}" '
                        'class="spread" fill="none"/>')
        end = LEFT + max(length, greatest * scale)
        body.append(f'<text x="{end + 8:.1f}" y="{y + 15}">{number(median)}{escape(unit)}</text>')
    return frame(title, subtitle, TOP + len(rows) * ROW + 12, "\n".join(body) + "\n")


def lines(title, subtitle, names, series, unit):
    """`series` are (name, values), a value for each of `names`; both axes are even, the first one by name."""
    height, bottom = 300, 250
    most = max(max(values) for _, values in series) * 1.1
    step = (WIDTH - LEFT - RIGHT - 90) / max(1, len(names) - 1)
    body = [f'<path d="M80 {TOP}V{bottom}H{WIDTH - RIGHT}" class="axis" fill="none"/>']
    for i, name in enumerate(names):
        body.append(f'<text x="{100 + i * step:.0f}" y="{bottom + 34}" text-anchor="middle">{escape(name)}</text>')
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - TOP - 10)
        body.append(f'<text x="74" y="{y + 4:.0f}" text-anchor="end" class="small">{number(share * most)}{unit}</text>')
    lowest = TOP - 16
    for i, (name, values) in enumerate(sorted(series, key=lambda one: -one[1][-1])):
        points = [(100 + k * step, bottom - value / most * (bottom - TOP - 10)) for k, value in enumerate(values)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        body.append(f'<path d="M{path}" class="line line{i % 4 + 1}"/>')
        # Names stand beside the ends of their lines, the highest first, and never on each other.
        lowest = max(points[-1][1], lowest + 16)
        body.append(f'<path d="M{points[-1][0] + 6:.0f} {lowest:.0f}h10" class="line line{i % 4 + 1}"/>')
        body.append(f'<text x="{points[-1][0] + 20:.0f}" y="{lowest + 4:.0f}">{escape(name)} '
                    f'{number(values[-1])}{unit}</text>')
    return frame(title, subtitle, height, "\n".join(body) + "\n")
