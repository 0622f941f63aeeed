// Makes a module of KaTeX's minified script; its package ships no minified module.
import "katex/script";

export default globalThis.katex;
