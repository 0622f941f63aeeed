// Makes a module of DOMPurify's minified script; its package ships no minified module.
import "dompurify/script";

export default globalThis.DOMPurify;
