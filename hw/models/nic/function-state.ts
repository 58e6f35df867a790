/** How far a function has been brought up. */
export const FUNCTION_STATES = { disabled: 0, enabled: 1, initialised: 2 } as const;
