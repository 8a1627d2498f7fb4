-- Version 2 of the history.

-- The workflow file whose history this is: a file of the same name elsewhere has another one. NULL: nobody has said so.
ALTER TABLE state ADD COLUMN file TEXT;
-- The time by which the ages of runs are measured, microseconds since the epoch, and the boot id and uptime (microseconds) at which it
-- was read: it follows the clock, but never jumps ahead with it.
ALTER TABLE state ADD COLUMN aged_to INTEGER;
ALTER TABLE state ADD COLUMN aged_boot TEXT;
ALTER TABLE state ADD COLUMN aged_up INTEGER;

-- The workflow file that ran; NULL where that was not recorded (before version 2).
ALTER TABLE runs ADD COLUMN file TEXT;
