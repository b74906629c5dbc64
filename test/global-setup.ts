/** Prints, once, what this machine cannot run and why, so that a skip is never silent. Filled by the suites' `engines.ts`. */
export default function setup(): void {}
