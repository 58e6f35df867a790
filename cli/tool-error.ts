/** What was asked for does not work, told as the tool does that a command imitates: its lines are printed as they are; exit code 1. */
export class ToolError extends Error {
  override get name(): string {
    return 'ToolError';
  }
}
