# Times a float training step of torchvision's ResNet-18, batch 64 of 224x224, channels_last, 2 threads:
# pytorch_resnet18.py fp32|bf16 STEPS. Prints the median, without the first two steps, and the least.
import statistics
import sys
import time

import torch
import torch.nn.functional as F
import torchvision

BATCH = 64
torch.set_num_threads(2)
model = torchvision.models.resnet18(num_classes=2).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
images = torch.randn(BATCH, 3, 224, 224).to(memory_format=torch.channels_last)
labels = torch.randint(0, 2, (BATCH,))

seconds = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=sys.argv[1] == "bf16"):
        loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    seconds.append(time.perf_counter() - start)
print(f"{sys.argv[1]}: median {statistics.median(seconds[2:]):.2f} s, least {min(seconds[2:]):.2f} s")
