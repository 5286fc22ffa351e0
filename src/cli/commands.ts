import type { Command } from './command.js';
import { acceptRemoteCommand } from './commands/accept-remote.js';
import { alertBridgeCommand } from './commands/alert-bridge.js';
import { auditCommand } from './commands/audit.js';
import { doctorCommand } from './commands/doctor.js';
import { fsckCommand } from './commands/fsck.js';
import { localGiteeCommand } from './commands/local-gitee.js';
import { notificationsCommand } from './commands/notifications.js';
import { quarantineCommand } from './commands/quarantine.js';
import { rebuildCommand } from './commands/rebuild.js';
import { restoreScriptCommand } from './commands/restore-script.js';
import { robotCommand } from './commands/robot.js';
import { serveCommand } from './commands/serve.js';
import { sessionCommand } from './commands/session.js';
import { statusCommand } from './commands/status.js';
import { verifyCloneCommand } from './commands/verify-clone.js';
import { versionCommand } from './commands/version.js';

/** All commands, in the order that help and README list them. */
export const COMMANDS: readonly Command[] = [
  serveCommand,
  localGiteeCommand,
  doctorCommand,
  statusCommand,
  fsckCommand,
  rebuildCommand,
  acceptRemoteCommand,
  quarantineCommand,
  verifyCloneCommand,
  restoreScriptCommand,
  robotCommand,
  sessionCommand,
  auditCommand,
  notificationsCommand,
  alertBridgeCommand,
  versionCommand,
];
