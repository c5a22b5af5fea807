// Which of the shell's floating parts are open. They are not part of the address: a link to a
// screen must not open someone's palette.
export const open = $state({ palette: false, keys: false, range: false });
