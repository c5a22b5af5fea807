// The PromQL editor. It lives in a shadow root: CodeMirror then brings its styles as adopted style
// sheets, which the content security policy allows, where <style> elements are forbidden.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { EditorState, Prec } from '@codemirror/state';
import { drawSelection, EditorView, keymap, placeholder, tooltips } from '@codemirror/view';
import { tags as t } from '@lezer/highlight';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';

const theme = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'transparent', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-content': { fontFamily: 'var(--font-mono)', fontVariantLigatures: 'none', caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-line': { padding: '0 10px' },
  '.cm-scroller': { lineHeight: '1.55', maxHeight: '220px', overflow: 'auto' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--text-3)' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': { background: 'var(--accent-soft) !important' },
  '.cm-matchingBracket': { background: 'var(--hover)', outline: '1px solid var(--line-strong)' },
  '.cm-tooltip': { background: 'var(--raised)', color: 'var(--text)', border: '1px solid var(--line-strong)', borderRadius: '8px', overflow: 'hidden', zIndex: 30 },
  '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--font-mono) !important', fontSize: '12px', maxHeight: '260px !important' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px !important' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { background: 'var(--accent-soft) !important', color: 'var(--text) !important' },
  '.cm-completionDetail': { color: 'var(--text-3)', fontStyle: 'normal', marginLeft: '12px' },
  '.cm-completionInfo': { padding: '8px 10px', maxWidth: '320px', fontFamily: 'var(--font-sans)', fontSize: '12px' },
  '.cm-completionMatchedText': { textDecoration: 'none', color: 'var(--accent)' },
  '.cm-diagnostic': { fontFamily: 'var(--font-sans)', fontSize: '12px', padding: '4px 10px' },
  '.cm-diagnostic-error': { borderLeft: '3px solid var(--crit)' },
});
const colors = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.modifier], color: 'var(--c4)' },
  { tag: [t.function(t.variableName), t.name], color: 'var(--c1)' },
  { tag: t.labelName, color: 'var(--c3)' },
  { tag: t.string, color: 'var(--c2)' },
  { tag: [t.number], color: 'var(--c5)' },
  { tag: t.comment, color: 'var(--text-3)' },
  { tag: t.invalid, color: 'var(--crit)' },
]);

export type Editor = { set: (text: string) => void; focus: () => void; destroy: () => void };
type Options = { host: HTMLElement; text: string; label: string; hint: string; onrun: (text: string) => void; onchange: (text: string) => void; onformat: () => void };

export function createEditor({ host, text, label, hint, onrun, onchange, onformat }: Options): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const place = document.createElement('div');
  root.replaceChildren(place);
  const url = new URL('.', document.baseURI).href.replace(/\/$/, '');
  const promql = new PromQLExtension().activateCompletion(true).activateLinter(true).setComplete({ remote: { url, httpMethod: 'GET', lookbackInterval: 3600e3 } });
  const run = (v: EditorView) => (onrun(v.state.doc.toString()), true);
  const view = new EditorView({
    parent: place,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([
          { key: 'Mod-Enter', run },
          { key: 'Shift-Enter', run },
          { key: 'Shift-Alt-f', run: () => (onformat(), true) },
          { key: 'Ctrl-Space', run: startCompletion },
        ])),
        history(), drawSelection(), bracketMatching(), closeBrackets(), autocompletion({ icons: false, activateOnTyping: true }),
        syntaxHighlighting(colors), theme, EditorView.lineWrapping, placeholder(hint), tooltips({ position: 'fixed' }),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off' }),
        EditorView.updateListener.of((u) => u.docChanged && onchange(u.state.doc.toString())),
        promql.asExtension(),
      ],
    }),
  });
  return {
    set: (next) => next !== view.state.doc.toString() && view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
