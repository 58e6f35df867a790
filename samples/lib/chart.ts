/** Lines in a plot, as SVG. */

/** One line. */
export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** A plot: both axes begin at 0. */
export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const PANEL = { width: 420, height: 300, left: 56, right: 16, top: 44, bottom: 48 } as const;
const TICKS = 5;
const LEGEND = { x: 12, y: 20, step: 18, dash: 22 } as const;

/** @returns the text of an SVG, with the panels side by side */
export function chart(panels: readonly Panel[]): string {
  const width = PANEL.width * panels.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${PANEL.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${PANEL.height}" fill="white"/>`,
    ...panels.map((panel, n) => `<g transform="translate(${n * PANEL.width} 0)">\n${draw(panel).join('\n')}\n</g>`),
    '</svg>\n',
  ].join('\n');
}

function draw({ title, x, y, series }: Panel): string[] {
  const { width, height, left, right, top, bottom } = PANEL;
  const points = series.flatMap((one) => one.points);
  const [maxX, maxY] = [niceMax(points.map(([at]) => at)), niceMax(points.map(([, value]) => value))];
  const atX = (value: number): string => (left + (value / maxX) * (width - left - right)).toFixed(1);
  const atY = (value: number): string => (height - bottom - (value / maxY) * (height - top - bottom)).toFixed(1);
  const ticks = Array.from({ length: TICKS + 1 }, (_, n) => n / TICKS);
  const middle = (left + width - right) / 2;
  return [
    text(middle, LEGEND.y, title, 'middle', ' font-weight="bold"'),
    text(middle, height - LEGEND.x, x, 'middle'),
    text(LEGEND.x, top - LEGEND.x, y, 'start'),
    ...ticks.flatMap((part) => [
      `<path d="M${left} ${atY(part * maxY)}H${width - right}" stroke="#ddd"/>`,
      text(left - 6, Number(atY(part * maxY)) + 4, label(part * maxY), 'end'),
      text(Number(atX(part * maxX)), height - bottom + 16, label(part * maxX), 'middle'),
    ]),
    ...series.flatMap(({ name, color, points: own }, n) => {
      const at = height - bottom - LEGEND.y - n * LEGEND.step;
      const line = own.map(([px, py]) => `${atX(px)},${atY(py)}`).join(' ');
      return [
        `<polyline points="${line}" fill="none" stroke="${color}" stroke-width="2"/>`,
        `<path d="M${left + LEGEND.x} ${at}h${LEGEND.dash}" stroke="${color}" stroke-width="2"/>`,
        text(left + LEGEND.x + LEGEND.dash + 6, at + 4, name, 'start'),
      ];
    }),
  ];
}

/** The next number above all of them that is easy to divide. */
function niceMax(values: readonly number[]): number {
  const max = Math.max(...values, 1e-9);
  const unit = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 2.5, 5, 7.5, 10].map((step) => step * unit).find((value) => value >= max)!;
}

const label = (value: number): string => String(Number(value.toPrecision(3)));

function text(x: number, y: number, what: string, anchor: string, more = ''): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}"${more}>${what}</text>`;
}
