import torch

from mtl.distributed.dtensor import as_shard_of, gathered, is_sharded, own_shard, part_of, take_gradients, total_norm


def test_backward_brings_gradients_and_leaves_those_that_were_there() -> None:
    weight, other = torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor(1.0, requires_grad=True)
    weight.grad = torch.tensor([10.0, 10.0])
    found = take_gradients([(weight**2).sum()], [None], [weight, other])
    assert found[0] is not None
    assert found[0].tolist() == [4, 6]
    assert found[1] is None
    assert weight.grad.tolist() == [10, 10]


def test_a_graph_can_be_gone_through_again() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    level = weight**3
    first = take_gradients([level], [torch.tensor(1.0)], [weight], retain_graph=True)
    second = take_gradients([level], [torch.tensor(-2.0)], [weight])
    assert [float(first[0]), float(second[0])] == [12, -24]  # type: ignore[arg-type]


def test_what_is_whole_is_its_own_part() -> None:
    value = torch.arange(3.0)
    assert not is_sharded([value])
    for same in (own_shard(value), as_shard_of(value, value), gathered(value, value), part_of(value, value)):
        assert same is value


def test_norm_of_all_tensors_together() -> None:
    assert float(total_norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])])) == 5
