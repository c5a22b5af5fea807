// Typed requests. An answer that is not 2xx is a Failure with the server's own words.
import type { components } from '../api/types';

type Schemas = components['schemas'];
export type Status = Schemas['Status'];
export type State = Schemas['State'];
export type Reason = Schemas['Reason'];
export type Quality = Schemas['Quality'];
export type Lost = Schemas['Lost'];
export type Stage = Status['pipeline']['stages'][number];

export class Failure extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

type Ask = { signal?: AbortSignal; body?: URLSearchParams };

export async function ask<T>(path: string, { signal, body }: Ask = {}): Promise<T> {
  const init: RequestInit = { signal, headers: { accept: 'application/json' } };
  if (body) Object.assign(init, { method: 'POST', body });
  const answer = await fetch(path, init);
  const text = await answer.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Failure(answer.status, `HTTP ${answer.status}: ${text.slice(0, 200)}`);
  }
  if (!answer.ok) throw new Failure(answer.status, complaint(json) ?? `HTTP ${answer.status}`);
  return json as T;
}

/** Both forms of error: {error: "…"} of the Prometheus API and {error: {message}} of farol's. */
function complaint(json: unknown): string | undefined {
  const error = (json as { error?: unknown } | null)?.error;
  if (typeof error === 'string') return error;
  const message = (error as { message?: unknown } | undefined)?.message;
  return typeof message === 'string' ? message : undefined;
}

/** The `data` of an answer of /api/v1. */
export async function data<T>(path: string, options?: Ask): Promise<T> {
  return (await ask<{ data: T }>(path, options)).data;
}

export type Alert = {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'pending' | 'firing' | 'inactive';
  activeAt: string;
  value: string;
};
export type Rule = {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  health: string;
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  duration?: number;
  state?: Alert['state'];
  alerts?: Alert[];
};
export type RuleGroup = { name: string; file: string; interval: number; rules: Rule[]; lastEvaluation: string };

export const getStatus = (signal?: AbortSignal) => ask<Status>('farol/v1/status', { signal });
export const getQuality = (query: Record<string, string> = {}, signal?: AbortSignal) =>
  ask<Quality>(`farol/v1/model/quality${search(query)}`, { signal });
export const getLost = (limit = 100, signal?: AbortSignal) =>
  ask<Lost>(`farol/v1/pipeline/lost?limit=${limit}`, { signal });
export const getAlerts = async (signal?: AbortSignal) =>
  (await data<{ alerts: Alert[] }>('api/v1/alerts', { signal })).alerts;
export const getRules = async (signal?: AbortSignal) =>
  (await data<{ groups: RuleGroup[] }>('api/v1/rules', { signal })).groups;
export const getMetricNames = (signal?: AbortSignal) =>
  data<string[]>('api/v1/label/__name__/values', { signal });

export function search(query: Record<string, string>): string {
  const s = new URLSearchParams(query).toString();
  return s ? `?${s}` : '';
}
