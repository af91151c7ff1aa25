"""Handwritten digits and a small convnet for them, in plain Lightning, without Gangplank."""

import lightning.pytorch as pl
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torch.utils.data import DataLoader, Subset, TensorDataset


class Digits(pl.LightningDataModule):
    """scikit-learn's digits: 1,797 images of 8x8 pixels that come with the package."""

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Split the images, the same way each time."""
        found = load_digits()
        images = torch.tensor(found.images / 16.0, dtype=torch.float32)[:, None]
        every = TensorDataset(images, torch.tensor(found.target))
        order = torch.randperm(len(every), generator=torch.Generator().manual_seed(7)).tolist()
        self.parts = {"train": order[:1200], "validate": order[1200:1500], "test": order[1500:]}
        self.every = every

    def train_dataloader(self) -> DataLoader:
        """Return the training images, shuffled in each epoch."""
        return DataLoader(Subset(self.every, self.parts["train"]), batch_size=32, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the images for the validation after each epoch."""
        return DataLoader(Subset(self.every, self.parts["validate"]), batch_size=100)

    def test_dataloader(self) -> DataLoader:
        """Return the images for the test at the end."""
        return DataLoader(Subset(self.every, self.parts["test"]), batch_size=99)


class Classifier(pl.LightningModule):
    """Two convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(16, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(32 * 4 * 4, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return a score for each digit."""
        return self.net(images)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss to minimise."""
        return self.logged("train", batch)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        """Log the loss and the accuracy."""
        self.logged("val", batch)

    def test_step(self, batch: list[torch.Tensor]) -> None:
        """Log the loss and the accuracy."""
        self.logged("test", batch)

    def logged(self, phase: str, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss; log it and the accuracy as the epoch's mean."""
        images, digits = batch
        scores = self(images)
        loss = functional.cross_entropy(scores, digits)
        accuracy = (scores.argmax(1) == digits).float().mean()
        # `sync_dist` averages over the processes, if there are several.
        both = {f"{phase}_loss": loss, f"{phase}_accuracy": accuracy}
        self.log_dict(both, on_step=False, on_epoch=True, sync_dist=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> tuple[list, list]:
        """Return AdamW, and a learning rate that decreases from epoch to epoch."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3)
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)]
