"""What every room stands on: errors, ranks, disk, progress, stopping, memory."""
