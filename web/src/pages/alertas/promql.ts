// The comparison inside an alert's expression: what is compared with which limit. The server parses
// (/api/v1/parse_query); here its tree is read and its parts are written back as PromQL. Pure.

type Matching = { card: string; labels: string[]; on: boolean; include: string[]; fillValues?: { lhs: unknown; rhs: unknown } };
type Where = { offset: number; offsetExpr: unknown; startOrEnd: 'start' | 'end' | null; timestamp: number | null };
type Selector = Where & { name: string; matchers: { name: string; type: string; value: string }[]; range?: number; rangeExpr?: unknown; anchored?: boolean; smoothed?: boolean };
export type Node =
  | { type: 'numberLiteral'; val: string }
  | { type: 'stringLiteral'; val: string }
  | { type: 'parenExpr'; expr: Node }
  | { type: 'unaryExpr'; op: string; expr: Node }
  | { type: 'binaryExpr'; op: string; bool: boolean; lhs: Node; rhs: Node; matching: Matching | null }
  | { type: 'aggregation'; op: string; expr: Node; param: Node | null; grouping: string[]; without: boolean }
  | { type: 'call'; func: { name: string; returnType: string }; args: Node[] }
  | (Selector & { type: 'vectorSelector' | 'matrixSelector' })
  | (Where & { type: 'subquery'; expr: Node; range: number; rangeExpr: unknown; step: number; stepExpr: unknown });

/** What cannot be written back (durations that are expressions): the rule then shows no limit. */
export class Unwritable extends Error {}

const UNITS: [number, string][] = [[604_800_000, 'w'], [86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'm'], [1000, 's'], [1, 'ms']];
export function duration(ms: number): string {
  let rest = Math.abs(ms);
  let out = '';
  for (const [size, unit] of UNITS) {
    const n = Math.floor(rest / size);
    if (n) out += `${n}${unit}`;
    rest -= n * size;
  }
  return `${ms < 0 ? '-' : ''}${out || '0s'}`;
}

const plain = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const label = (name: string) => (plain.test(name) ? name : JSON.stringify(name));
const list = (names: string[]) => `(${names.map(label).join(', ')})`;

function where(n: Where): string {
  if (n.offsetExpr) throw new Unwritable('offset');
  const at = n.startOrEnd ? ` @ ${n.startOrEnd}()` : n.timestamp == null ? '' : ` @ ${n.timestamp / 1e3}`;
  return `${at}${n.offset ? ` offset ${duration(n.offset)}` : ''}`;
}

function selector(n: Selector): string {
  if (n.rangeExpr || n.anchored || n.smoothed) throw new Unwritable('range');
  const short = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(n.name);
  const rest = n.matchers.filter((m) => !(short && m.name === '__name__' && m.type === '=' && m.value === n.name));
  const inside = rest.map((m) => `${label(m.name)}${m.type}${JSON.stringify(m.value)}`).join(',');
  return `${short ? n.name : ''}${inside || !short ? `{${inside}}` : ''}${n.range === undefined ? '' : `[${duration(n.range)}]`}${where(n)}`;
}

export function matching(m: Matching | null): string {
  if (!m) return '';
  if (m.fillValues && (m.fillValues.lhs != null || m.fillValues.rhs != null)) throw new Unwritable('fill');
  const on = m.on || m.labels.length ? `${m.on ? 'on' : 'ignoring'} ${list(m.labels)}` : '';
  const side = m.card === 'many-to-one' ? 'group_left' : m.card === 'one-to-many' ? 'group_right' : '';
  return [on, side && `${side} ${list(m.include)}`].filter(Boolean).join(' ');
}

/** A tree as PromQL. Parentheses are nodes of the tree, so none must be added within it. */
export function write(n: Node): string {
  switch (n.type) {
    case 'numberLiteral': return n.val;
    case 'stringLiteral': return JSON.stringify(n.val);
    case 'parenExpr': return `(${write(n.expr)})`;
    case 'unaryExpr': return `${n.op}${write(n.expr)}`;
    case 'binaryExpr': return [write(n.lhs), n.op, n.bool ? 'bool' : '', matching(n.matching), write(n.rhs)].filter(Boolean).join(' ');
    case 'aggregation': {
      const by = n.grouping.length || n.without ? ` ${n.without ? 'without' : 'by'} ${list(n.grouping)}` : '';
      return `${n.op}${by ? `${by} ` : ''}(${n.param ? `${write(n.param)}, ` : ''}${write(n.expr)})`;
    }
    case 'call': return `${n.func.name}(${n.args.map(write).join(', ')})`;
    case 'subquery':
      if (n.rangeExpr || n.stepExpr) throw new Unwritable('range');
      return `${write(n.expr)}[${duration(n.range)}:${n.step ? duration(n.step) : ''}]${where(n)}`;
    default: return selector(n);
  }
}

export type Join = 'if' | 'and' | 'or' | 'unless';
export type Op = '>' | '>=' | '<' | '<=' | '==' | '!=';
/**
 * One comparison of an expression. `value` and `threshold` are queries whose series have the same
 * labels; `limit` is the threshold where it is a plain number.
 */
export type Condition = { join: Join; op: Op; left: string; right: string; value: string; threshold: string; limit: number | null };

const MIRROR: Record<string, Op> = { '>': '<', '>=': '<=', '<': '>', '<=': '>=', '==': '==', '!=': '!=' };
const bare = (n: Node): Node => (n.type === 'parenExpr' ? bare(n.expr) : n);

function isScalar(n: Node): boolean {
  const b = bare(n);
  if (b.type === 'unaryExpr') return isScalar(b.expr);
  if (b.type === 'binaryExpr') return isScalar(b.lhs) && isScalar(b.rhs);
  return b.type === 'numberLiteral' || (b.type === 'call' && b.func.returnType === 'scalar');
}

function constant(n: Node): number | null {
  const b = bare(n);
  if (b.type === 'numberLiteral') return Number(b.val.replace('Inf', 'Infinity'));
  if (b.type !== 'unaryExpr') return null;
  const v = constant(b.expr);
  return v == null ? null : b.op === '-' ? -v : v;
}

export function conditions(root: Node): Condition[] {
  const out: Condition[] = [];
  const walk = (node: Node, join: Join): void => {
    const n = bare(node);
    if (n.type !== 'binaryExpr') return;
    if (n.op === 'and' || n.op === 'or' || n.op === 'unless') {
      walk(n.lhs, join);
      walk(n.rhs, n.op);
    } else if (n.op in MIRROR && !n.bool) {
      out.push(comparison(n, join));
    }
  };
  walk(root, 'if');
  return out;
}

function comparison(n: Extract<Node, { type: 'binaryExpr' }>, join: Join): Condition {
  const turned = isScalar(n.lhs) && !isScalar(n.rhs);
  const [l, r] = turned ? [n.rhs, n.lhs] : [n.lhs, n.rhs];
  const op = turned ? MIRROR[n.op] : (n.op as Op);
  const [left, right] = [write(l), write(r)];
  const limit = constant(r);
  if (isScalar(r)) return { join, op, left, right, value: left, threshold: limit == null ? `(0 * (${left})) + (${right})` : '', limit };
  const m = matching(n.matching);
  const plus = m ? `+ ${m}` : '+';
  return { join, op, left, right, value: `(${left}) ${plus} (0 * (${right}))`, threshold: `(0 * (${left})) ${plus} (${right})`, limit };
}

export function holds(op: Op, v: number, limit: number): boolean {
  switch (op) {
    case '>': return v > limit;
    case '>=': return v >= limit;
    case '<': return v < limit;
    case '<=': return v <= limit;
    case '==': return v === limit;
    default: return v !== limit;
  }
}

/** How far a value is into the alert; the greatest is the one to show. */
export function depth(op: Op, v: number, limit: number): number {
  if (op === '>' || op === '>=') return v - limit;
  if (op === '<' || op === '<=') return limit - v;
  return op === '==' ? -Math.abs(v - limit) : Math.abs(v - limit);
}
