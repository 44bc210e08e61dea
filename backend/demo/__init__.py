"""The demo platform: roadmaps and novels written for it, the faults they show, and how they are loaded."""
