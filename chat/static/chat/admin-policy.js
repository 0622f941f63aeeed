// Django's admin scripts set innerHTML. Whatever they set goes through DOMPurify; scripts and script
// addresses have no policy and stay forbidden. This file runs on the administration's pages alone.
if (window.trustedTypes) {
  window.trustedTypes.createPolicy("default", {
    createHTML: (html) => window.DOMPurify.sanitize(html, { RETURN_TRUSTED_TYPE: false }),
  });
}
