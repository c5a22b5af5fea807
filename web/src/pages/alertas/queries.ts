// The questions of the alerts page.
/** Alerts at each step: as they stand where steps are short, else all within a step. */
const alertsAt = (step: number, where = '') => (step <= 60 ? `ALERTS${where}` : `max_over_time(ALERTS${where}[${Math.ceil(step)}s])`);
export const states = (step: number) => `count by (alertname, alertstate) (${alertsAt(step)})`;
/** Where no group was evaluated, silence means nothing. */
export const present = 'max by (group) (max_over_time(farol_rules_group_slots_total[$w]))';
export const history = (step: number, rule?: string) => alertsAt(step, rule === undefined ? '' : `{alertname=${JSON.stringify(rule)}}`);
/** Something where any group was evaluated. */
export const evaluated = (step: number) => `count(max_over_time(farol_rules_group_slots_total[${Math.max(60, Math.ceil(step))}s]))`;
export const calendar = (cell: string) => `count by (alertstate, severity) (max_over_time(ALERTS[${cell}]))`;
export const calendarPresent = (cell: string) => `count(max_over_time(farol_rules_group_slots_total[${cell}]))`;
