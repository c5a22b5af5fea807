import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// A running farol (or `farol demo`) that answers the API while the pages are being written.
const target = process.env.FAROL_URL ?? 'http://127.0.0.1:9480';
const proxy = { '/api': target, '/farol': target, '/metrics': target, '/-': target };

export default defineConfig({
  base: './',
  plugins: [svelte()],
  server: { proxy },
  preview: { proxy },
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Nothing is inlined: the content security policy has no data: URLs for scripts and styles.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    // Each page is a chunk under its own name.
    rollupOptions: {
      output: {
        chunkFileNames: ({ facadeModuleId: id }) =>
          `assets/${/pages\/(\w+)\/Page\.svelte$/.exec(id ?? '')?.[1] ?? '[name]'}-[hash].js`,
      },
    },
  },
});
