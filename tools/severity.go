package tools

// severity ranks reasons; what is not listed is some waiting reason of a
// container (ErrImagePull, CreateContainerError …) and ranks like a failed
// start. 0 is no problem.
func severity(reason string) int {
	switch reason {
	case "":
		return 0
	case "NodeNotReady":
		return 100
	case "NodeLost":
		return 90
	case "OOMKilled", "CrashLoopBackOff":
		return 80
	case "MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable":
		return 65
	case "Unschedulable", "SchedulingGated":
		return 60
	case "StuckCreating":
		return 55
	case "NotReady", "Unavailable":
		return 50
	case "RolloutStalled", "ReplicaFailure":
		return 45
	case "JobFailed":
		return 40
	case "ClaimPending", "ClaimLost":
		return 35
	case "Evicted", "Failed", "StuckTerminating", "NodeAffinity", "Terminated", "Shutdown", "UnexpectedAdmissionError":
		return 30
	case "Completed":
		return 0
	}
	return 70
}
