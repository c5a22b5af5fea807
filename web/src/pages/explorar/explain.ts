// What the engine says about how it answered (explain=run). Pure.
export type Node = {
  id: number; parent: number | null; depth: number; kind: string; head: string; text: string; type: string; steps: number;
  series_matched?: number; samples_read?: number; series?: number; points?: number; self_ns?: number; total_ns?: number; ways: string[];
};
export type Explain = { mode: string; nodes: Node[]; nodes_all: number; totals: { eval_ns: number; series_read: number; samples_read?: number; samples_peak?: number; series?: number; points?: number; bytes?: number; threads?: number } };

/** Which share of the whole work a node did itself: its bar in the tree. */
export function shares(e: Explain): number[] {
  const total = e.nodes.reduce((sum, n) => sum + (n.self_ns ?? 0), 0);
  return e.nodes.map((n) => (total > 0 ? (n.self_ns ?? 0) / total : 0));
}
