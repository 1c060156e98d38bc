"""Round robin: the tasks take turns.

Source: Collobert, Weston, "A Unified Architecture for Natural Language Processing: Deep Neural Networks with Multitask
Learning", ICML 2008, section 5 (one task after the other).
Shapes: K tasks.
"""

from mtl.scheduling.schedule import TaskSchedule, check_tasks_per_step


class RoundRobin(TaskSchedule):
    """Every step trains the next tasks in order: the baseline that a schedule has to beat.

        schedule.active(step)

    Args:
        tasks_per_step: how many train at a step.
    """

    paper = "Collobert, Weston, A Unified Architecture for NLP, ICML 2008"

    def __init__(self, tasks_per_step: int = 1) -> None:
        super().__init__()
        self.tasks_per_step = check_tasks_per_step(tasks_per_step)

    def make_state(self, num_tasks: int) -> None:
        check_tasks_per_step(self.tasks_per_step, num_tasks)

    def active(self, step: int) -> list[bool]:
        first = step * self.tasks_per_step
        chosen = {(first + offset) % self.num_tasks for offset in range(self.tasks_per_step)}
        return [task in chosen for task in range(self.num_tasks)]
