// Short confirmations at the bottom of the screen.
let message = $state('');
let timer: ReturnType<typeof setTimeout> | undefined;

export const toast = {
  get text() {
    return message;
  },
  say(text: string) {
    message = text;
    clearTimeout(timer);
    timer = setTimeout(() => (message = ''), 2600);
  },
};

/** Copies and says so; false when the browser forbids it. */
export async function copy(text: string, said: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    if (!done) return false;
  }
  toast.say(said);
  return true;
}
